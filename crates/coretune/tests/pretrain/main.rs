//! Tests of `coretune::pretrain`.

mod from_checkpoint;
mod run;
