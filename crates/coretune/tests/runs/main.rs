//! The life of a run, as a program sees it.

mod examples;
mod life;
mod own_method;
