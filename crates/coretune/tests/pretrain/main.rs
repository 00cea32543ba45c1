//! Tests of `coretune::pretrain`.

mod run;
