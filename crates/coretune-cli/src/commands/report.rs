//! `coretune report RUN...`: a page about one run or several.

use coretune::config::Typed;
use coretune::report::{self, Source};
use coretune::run_folder::{RunFolder, RunKind};

use crate::args::{Flags, Report};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;

pub(crate) fn run(arguments: &Report, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let runs = arguments.runs.iter();
    let sources = runs.map(|folder| source(folder, flags)).collect::<Result<Vec<_>, _>>()?;
    let path = arguments.output.clone().unwrap_or_else(|| arguments.runs[0].join(report::PAGE));
    report::check_writable(&path)?;
    let mut progress = Progress::new(printer.clone());
    let page = report::report(&sources, &mut |event| progress.see(event));
    progress.clear();
    let page = page?;
    for missing in &page.missing {
        printer.warn(format_args!("{}: {} is left out: {}", missing.run, missing.what, missing.why));
    }
    report::write(&path, &page.html).map_err(|error| Failure::from(error).on_the_way())?;
    printer.json(&serde_json::json!({ "report": path, "missing": page.missing }))?;
    printer.result("report", path.display())
}

fn source(folder: &std::path::Path, flags: &Flags) -> Result<Source, Failure> {
    let records = RunFolder::open_records(folder)?;
    records.expect(RunKind::FineTuning)?;
    // Device, precision and threads are this machine's, not those of the run.
    let config = flags.over(Typed::defaults().file(&records.config())?.without("run"))?.validate()?;
    Ok(Source { folder: folder.into(), config })
}
