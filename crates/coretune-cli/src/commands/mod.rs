//! One file per subcommand.

pub(crate) mod average;
pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod data_check;
pub(crate) mod data_fetch;
pub(crate) mod data_pack;
pub(crate) mod data_show;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod fit;
pub(crate) mod inspect;
mod lines;
pub(crate) mod man;
pub(crate) mod predict;
mod predict_masks;
pub(crate) mod pretrain;
pub(crate) mod probe;
mod processes;
mod ranks;
mod rate_search;
pub(crate) mod report;
pub(crate) mod reproduce;
mod segment;
pub(crate) mod sweep;
mod training;
