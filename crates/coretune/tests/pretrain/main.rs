//! Tests of `coretune::pretrain`.

mod divided;
mod from_checkpoint;
mod run;
