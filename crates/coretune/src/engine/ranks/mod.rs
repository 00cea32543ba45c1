//! Ranks of `torch.distributed`: where this process stands among them ([`Place`]), how it joins them, and how it notices
//! that one of them is gone.

mod error;
mod group;
mod place;
mod slurm;
mod watch;

pub use error::{RanksError, list};
pub use group::{Group, Traffic};
pub use place::{Place, StoreHost, variable};
