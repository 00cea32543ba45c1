//! Tests of `coretune::pretrain`.

mod formulas;
#[path = "../common/golden_file.rs"]
mod golden_file;
mod run;
