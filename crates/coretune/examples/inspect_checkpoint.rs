//! What a checkpoint holds: its method, its network, and how much of the network would be loaded.
//!
//! `cargo run --release --example inspect_checkpoint CHECKPOINT`

use std::error::Error;
use std::path::Path;

use coretune::checkpoints;

fn main() -> Result<(), Box<dyn Error>> {
    inspect(&std::env::args().skip(1).collect::<Vec<_>>())
}

/// What `main` does, with the arguments of the command line.
pub(crate) fn inspect(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [checkpoint] = arguments else { return Err("CHECKPOINT".into()) };
    let report = checkpoints::inspect(Path::new(checkpoint), None)?;
    println!("method    {}", report.method);
    println!("network   {}, {:.1} M parameters", report.architecture, report.parameters as f64 / 1e6);
    println!("coverage  {} of {} tensors", report.loaded.len(), report.expected());
    println!("missing   {:?}", report.missing);
    println!("heads     {:?}", report.heads);
    Ok(())
}
