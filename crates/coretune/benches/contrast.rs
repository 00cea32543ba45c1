//! Times a supervised contrastive loss with its gradient, and the memory that it takes.
//!
//!     cargo bench -p coretune --bench contrast -- --rows 4096 --width 256
//!     cargo bench -p coretune --bench contrast -- --rows 65536 --block 64 --focal 1 --steps 1
//!
//! `--block` computes so many anchors at a time; without it the size of the table decides. All times are medians, also the
//! seconds that the processor worked, which on a busy machine are the steadier ones. Prints a JSON line with the keys of
//! `benches/peers/supcon.py`, and the time of the four matrix products in the same blocks that a gradient needs at least.

use std::error::Error;
use std::time::Instant;

use coretune::engine::{PairTable, peak_rss_bytes, recent_peak_rss_bytes, reset_recent_peak, threads};
use coretune::losses::{Focus, supervised_contrastive_by};
use coretune_native::processor_seconds;
use serde_json::json;
use tch::{Device, Kind, Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    if coretune_testing::prints_help(include_str!("contrast.rs")) {
        return Ok(());
    }
    // As the command line does.
    coretune_native::keep_freed_memory();
    let (mut rows, mut width, mut steps, mut block, mut focal) = (4096, 256, 5, None, 0.0);
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--rows" => rows = value.parse()?,
            "--width" => width = value.parse()?,
            "--steps" => steps = value.parse()?,
            "--block" => block = Some(value.parse()?),
            "--focal" => focal = value.parse()?,
            "--threads" => threads::set(value.parse()?)?,
            _ => return Err(format!("{name} is no setting").into()),
        }
    }
    let table = block.map_or_else(|| PairTable::single(rows, rows), PairTable::Blocks);
    let labels: Vec<i64> = (0..rows).map(|row| row % 100).collect();
    let unit = Tensor::randn([rows, width], (Kind::Float, Device::Cpu));
    let unit = (&unit / unit.norm_scalaropt_dim(2.0, [1i64].as_slice(), true)).set_requires_grad(true);
    let focus = Focus { exponent: focal, detached: false };
    let step = || -> Result<(), Box<dyn Error>> {
        let loss = supervised_contrastive_by(table, &unit, &labels, 0.07, focus)?;
        drop(Tensor::run_backward(&[&loss], &[&unit], false, false));
        Ok(())
    };
    let before = peak_rss_bytes();
    reset_recent_peak();
    let [seconds, busy] = median(steps, step)?;
    let extra = recent_peak_rss_bytes().saturating_sub(before);
    let [products, products_busy] = median(steps, || {
        let all = unit.detach();
        for (first, anchors) in table.blocks(rows) {
            let block = all.narrow(0, first, anchors);
            let similarities = block.matmul(&all.tr());
            drop((block.matmul(&all.tr()), similarities.matmul(&all), similarities.tr().matmul(&block)));
        }
        Ok(())
    })?;
    println!(
        "{}",
        json!({
            "implementation": "coretune",
            "rows": rows,
            "width": width,
            "threads": threads::get(),
            "table": format!("{table:?}"),
            "seconds": seconds,
            "processor_seconds": busy,
            "four_products_seconds": products,
            "four_products_processor_seconds": products_busy,
            "extra_memory_bytes": extra,
        })
    );
    Ok(())
}

/// Median seconds of `work`, and those that the processor worked, after one call that does not count if there are several.
fn median(steps: usize, work: impl Fn() -> Result<(), Box<dyn Error>>) -> Result<[f64; 2], Box<dyn Error>> {
    if steps > 1 {
        work()?;
    }
    let mut seconds = [Vec::with_capacity(steps), Vec::with_capacity(steps)];
    for _ in 0..steps.max(1) {
        let (started, before) = (Instant::now(), processor_seconds());
        work()?;
        seconds[0].push(started.elapsed().as_secs_f64());
        seconds[1].push(processor_seconds() - before);
    }
    Ok(seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    }))
}
