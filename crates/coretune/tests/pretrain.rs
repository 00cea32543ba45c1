//! Tests of `coretune::pretrain`.

#[path = "goldens/file.rs"]
mod file;

#[path = "pretrain/formulas.rs"]
mod formulas;

#[path = "pretrain/methods.rs"]
mod methods;

#[path = "pretrain/run.rs"]
mod run;
