//! `coretune data fetch NAME`: a public data set, verified, as a folder for `--data-dir`.

use std::path::PathBuf;

use coretune::data::fetch::{CATALOGUE, DataSet, catalogue, default_folder, fetch};
use coretune::data::{Dataset, DatasetOptions};
use serde::Serialize;

use super::lines;
use crate::args::DataFetch;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::transfer::{Transfer, size};

pub(crate) fn run(arguments: &DataFetch) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let Some(name) = arguments.name.as_deref().filter(|_| !arguments.list) else { return list(&printer) };
    let set = catalogue::find(name)?;
    let folder = arguments.output.clone().map_or_else(|| default_folder(name), Ok)?;
    let mut transfer = Transfer::new(printer.clone());
    let fetched = fetch(set, &folder, &mut |event| transfer.see(event));
    transfer.clear();
    let fetched = fetched?;
    if fetched.was_there {
        printer.say("there", format_args!("{name} was fetched before and is intact"));
    }
    let data = Dataset::open(&folder, &DatasetOptions::default()).map_err(coretune::train::TrainError::from)?;
    for (role, images) in lines::splits(&data.describe()) {
        printer.say(&role, images);
    }
    printer.json(&Done { name, folder: &folder, was_there: fetched.was_there })?;
    printer.line(&folder.display().to_string())
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Done<'a> {
    name: &'a str,
    folder: &'a PathBuf,
    was_there: bool,
}

/// What can be fetched: name, size, classes, images, licence, address.
fn list(printer: &Printer) -> Result<(), Failure> {
    printer.json(&CATALOGUE.iter().map(Row::of).collect::<Vec<_>>())?;
    for set in CATALOGUE {
        let size = size(set.bytes());
        printer.line(&format!("{:<15}{size:>9}  {:>3} classes  {}", set.name, set.classes, set.images))?;
        printer.line(&format!("{:<15}{:>9}  licence: {}", "", "", set.licence))?;
        printer.line(&format!("{:<15}{:>9}  {}", "", "", set.page))?;
    }
    Ok(())
}

/// A data set of the list, as JSON.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    bytes: u64,
    classes: u32,
    images: &'static str,
    licence: &'static str,
    page: &'static str,
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct File {
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
    addresses: &'static [&'static str],
}

impl Row {
    fn of(set: &DataSet<'static>) -> Self {
        let file = |file: &coretune::data::fetch::RemoteFile<'static>| File {
            name: file.name,
            bytes: file.bytes,
            sha256: file.sha256,
            addresses: file.addresses,
        };
        Row {
            name: set.name,
            bytes: set.bytes(),
            classes: set.classes,
            images: set.images,
            licence: set.licence,
            page: set.page,
            files: set.files.iter().map(file).collect(),
        }
    }
}
