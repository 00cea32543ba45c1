//! Data sets from a server on this machine that behaves as servers do.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use coretune::data::fetch::{
    CATALOGUE, DataSet, DebianPackage, Event, FetchError, Fetched, Form, RemoteFile, TarGz, fetch,
};
use coretune::data::{Dataset, DatasetOptions, Format};
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// How a server behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Knows ranges.
    Ranges,
    /// Sends the whole file, whatever is asked for.
    Whole,
    /// Knows ranges; hangs up on the first request for a file after so many bytes.
    HangsUpOnce(usize),
    /// Sends the whole file and hangs up on each request after so many bytes.
    AlwaysHangsUp(usize),
    /// Says neither the length nor the range, and sends a byte more.
    TooMuch,
    /// Has nothing.
    Status(&'static str),
}

/// Answers requests until the test ends.
struct Server {
    root: String,
    /// `PATH` of each request, with ` bytes=..` where a range was asked for.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(files: &[(&str, &[u8])], manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let files: HashMap<String, Vec<u8>> =
            files.iter().map(|(name, bytes)| (format!("/{name}"), bytes.to_vec())).collect();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                // A client that has heard enough hangs up: no error here.
                drop(connection.and_then(|stream| answer(stream, &files, manner, &log)));
            }
        });
        Server { root, requests }
    }

    fn address(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    files: &HashMap<String, Vec<u8>>,
    manner: Manner,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let request = head_of(&mut stream)?;
    let path = request.split(' ').nth(1).unwrap_or_default().to_string();
    let range = request
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("range: ").map(|range| format!(" {}", range.trim())));
    let is_first = !log.lock().unwrap().iter().any(|earlier| earlier.starts_with(&path));
    log.lock().unwrap().push(path.clone() + range.as_deref().unwrap_or_default());
    let body = match (manner, files.get(&path)) {
        (Manner::Status(status), _) => {
            return write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        (_, None) => {
            return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        (_, Some(body)) => body,
    };
    if manner == Manner::TooMuch {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        return stream.write_all(&[body.as_slice(), b"x"].concat());
    }
    let knows_ranges = matches!(manner, Manner::Ranges | Manner::HangsUpOnce(_));
    let from: usize = range
        .filter(|_| knows_ranges)
        .map_or(0, |range| range.trim_start_matches(" bytes=").trim_end_matches('-').parse().unwrap());
    let rest = &body[from..];
    if from > 0 {
        let whole = body.len();
        write!(stream, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{whole}\r\n", whole - 1)?;
    } else {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
    }
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n", rest.len())?;
    let sent = match manner {
        Manner::HangsUpOnce(after) if is_first => after,
        Manner::AlwaysHangsUp(after) => after,
        _ => rest.len(),
    };
    stream.write_all(&rest[..sent.min(rest.len())])
}

fn head_of(stream: &mut TcpStream) -> std::io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// An address at which nothing listens.
fn nowhere(name: &str) -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}/{name}")
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Random images and their labels, as two idx files: their names and contents.
fn idx_files() -> [(&'static str, Vec<u8>); 2] {
    let count = 40u32;
    let mut stream = rand::rngs::SmallRng::seed_from_u64(1);
    let mut images = [0u32, 0, 0, 0].map(|_| 0u8).to_vec();
    images[2..4].copy_from_slice(&[8, 3]);
    for size in [count, 28, 28] {
        images.extend(size.to_be_bytes());
    }
    images.extend((0..count * 28 * 28).map(|_| stream.random::<u8>()));
    let mut labels = vec![0, 0, 8, 1];
    labels.extend(count.to_be_bytes());
    labels.extend((0..count).map(|row| (row % 10) as u8));
    [("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)]
}

/// Files as in the MNIST family, packed, with their digests.
struct Idx {
    names: [String; 2],
    packed: [Vec<u8>; 2],
    plain: [Vec<u8>; 2],
    digests: [String; 2],
    contents: [String; 2],
}

impl Idx {
    fn new() -> Self {
        let files = idx_files();
        let packed = files.each_ref().map(|(_, bytes)| gzip(bytes, 6));
        Idx {
            names: files.each_ref().map(|(name, _)| format!("{name}.gz")),
            digests: packed.each_ref().map(|bytes| sha256(bytes)),
            contents: files.each_ref().map(|(_, bytes)| sha256(bytes)),
            plain: files.map(|(_, bytes)| bytes),
            packed,
        }
    }

    fn served(&self, manner: Manner) -> Server {
        Server::new(&[(&self.names[0], &self.packed[0]), (&self.names[1], &self.packed[1])], manner)
    }

    /// Fetches from these servers into `folder`, noting what is told.
    fn fetch(&self, addresses: &[[String; 2]], folder: &Path) -> (Result<Fetched, FetchError>, Vec<String>) {
        self.fetch_with(addresses, folder, None, &[])
    }

    fn fetch_with(
        &self,
        addresses: &[[String; 2]],
        folder: &Path,
        package: Option<DebianPackage<'_>>,
        classes: &[&str],
    ) -> (Result<Fetched, FetchError>, Vec<String>) {
        let addresses = [0, 1].map(|at| addresses.iter().map(|pair| pair[at].as_str()).collect::<Vec<_>>());
        let files = [0, 1].map(|at| RemoteFile {
            name: &self.names[at],
            addresses: &addresses[at],
            bytes: self.packed[at].len() as u64,
            sha256: &self.digests[at],
            content: Some(&self.contents[at]),
        });
        let set = DataSet { files: &files, package, ..set_of(Form::Files { classes }) };
        told(&set, folder)
    }
}

fn set_of(form: Form<'_>) -> DataSet<'_> {
    DataSet { name: "tiny", classes: 10, images: "", licence: "", page: "", files: &[], form, package: None }
}

fn told(set: &DataSet<'_>, folder: &Path) -> (Result<Fetched, FetchError>, Vec<String>) {
    let mut words = Vec::new();
    let result = fetch(set, folder, &mut |event| match event {
        Event::Advanced { done, total, file, .. } => assert!(done <= total, "{file}: {done} of {total}"),
        Event::Resumed { file, from } => words.push(format!("resumed {file} at {from}")),
        Event::Note(text) => words.push(text),
    });
    (result, words)
}

fn pair(server: &Server, idx: &Idx) -> [String; 2] {
    idx.names.each_ref().map(|name| server.address(name))
}

/// Where the data set is to be put: a folder that does not exist yet.
fn place() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cache/tiny");
    (folder, place)
}

/// Names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

#[test]
fn files_are_fetched_verified_and_open_as_a_data_set_and_are_not_fetched_twice() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let server = idx.served(Manner::Ranges);
    let fetched = idx.fetch(&[pair(&server, &idx)], &place).0.unwrap();
    assert_eq!(fetched, Fetched { folder: place.clone(), was_there: false });
    assert_eq!(names(&place), idx.names);
    let data = Dataset::open(&place, &DatasetOptions::default()).unwrap();
    assert_eq!((data.format, data.train.unwrap().images().len()), (Format::Idx, 40));
    let requests = server.requests().len();
    let again = idx.fetch(&[pair(&server, &idx)], &place).0.unwrap();
    assert!(again.was_there);
    assert_eq!(server.requests().len(), requests, "nothing is asked for");
}

#[test]
fn names_of_classes_are_written_with_files_fetched_anew_and_not_beside_those_of_old_runs() {
    let names: Vec<String> = (0..10).map(|class| format!("class {class}")).collect();
    let classes: Vec<&str> = names.iter().map(String::as_str).collect();
    let (idx, (_guard, place)) = (Idx::new(), place());
    let server = idx.served(Manner::Ranges);
    idx.fetch_with(&[pair(&server, &idx)], &place, None, &classes).0.unwrap();
    let data = Dataset::open(&place, &DatasetOptions::default()).unwrap();
    assert_eq!(data.classes[..], names);
    assert!(idx.fetch_with(&[pair(&server, &idx)], &place, None, &classes).0.unwrap().was_there);

    fs::remove_file(place.join("classes.txt")).unwrap();
    idx.fetch_with(&[pair(&server, &idx)], &place, None, &classes).0.unwrap();
    assert!(!place.join("classes.txt").exists());
}

#[test]
fn a_connection_that_ends_early_is_taken_up_where_it_ended() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let server = idx.served(Manner::HangsUpOnce(20));
    let (result, words) = idx.fetch(&[pair(&server, &idx)], &place);
    result.unwrap();
    assert_eq!(fs::read(place.join(&idx.names[0])).unwrap(), idx.packed[0]);
    let images = format!("/{}", idx.names[0]);
    assert_eq!(server.requests()[..2], [images.clone(), format!("{images} bytes=20-")]);
    assert!(words.iter().any(|line| line.contains("ended after 20 of")), "{words:?}");
    assert!(words.contains(&format!("resumed {} at 20", idx.names[0])), "{words:?}");
}

#[test]
fn what_an_earlier_call_left_is_gone_on_with() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let server = idx.served(Manner::Ranges);
    fs::create_dir_all(&place).unwrap();
    let partial = format!("{}.partial", idx.names[0]);
    fs::write(place.join(&partial), &idx.packed[0][..700]).unwrap();
    // Killed between the last byte and the new name.
    fs::write(place.join(format!("{}.partial", idx.names[1])), &idx.packed[1]).unwrap();
    idx.fetch(&[pair(&server, &idx)], &place).0.unwrap();
    assert_eq!(server.requests(), [format!("/{} bytes=700-", idx.names[0])]);
    assert_eq!(names(&place), idx.names);
    assert_eq!(fs::read(place.join(&idx.names[0])).unwrap(), idx.packed[0]);
}

#[test]
fn a_beginning_of_something_else_is_fetched_again() {
    for length in [700, 1 << 20] {
        let (idx, (_guard, place)) = (Idx::new(), place());
        let server = idx.served(Manner::Ranges);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join(format!("{}.partial", idx.names[0])), vec![7; length]).unwrap();
        idx.fetch(&[pair(&server, &idx)], &place).0.unwrap();
        assert_eq!(fs::read(place.join(&idx.names[0])).unwrap(), idx.packed[0]);
        assert_eq!(names(&place), idx.names);
    }
}

#[test]
fn a_server_without_ranges_sends_it_whole() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let server = idx.served(Manner::Whole);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(format!("{}.partial", idx.names[0])), &idx.packed[0][..700]).unwrap();
    let (result, words) = idx.fetch(&[pair(&server, &idx)], &place);
    result.unwrap();
    assert_eq!(fs::read(place.join(&idx.names[0])).unwrap(), idx.packed[0]);
    assert!(!words.iter().any(|line| line.starts_with("resumed")), "{words:?}");
}

#[test]
fn a_server_that_never_gets_further_is_given_up_and_what_came_stays() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let server = idx.served(Manner::AlwaysHangsUp(500));
    let error = idx.fetch(&[pair(&server, &idx)], &place).0.unwrap_err();
    assert!(matches!(&error, FetchError::NotObtained { tried, .. } if tried[0].outcome.contains("after 500 of")));
    assert_eq!(server.requests().len(), 4, "one that gains 500 bytes, three that gain nothing");
    assert_eq!(fs::read(place.join(format!("{}.partial", idx.names[0]))).unwrap(), idx.packed[0][..500]);
}

#[test]
fn other_bytes_than_the_pinned_ones_are_refused_and_removed() {
    let (mut idx, (_guard, place)) = (Idx::new(), place());
    let right = idx.packed[0].clone();
    *idx.packed[0].last_mut().unwrap() ^= 1;
    let server = idx.served(Manner::Ranges);
    let error = idx.fetch(&[pair(&server, &idx)], &place).0.unwrap_err();
    let FetchError::NotObtained { tried, missing, .. } = &error else { panic!("{error}") };
    assert!(tried[0].outcome.contains(&sha256(&idx.packed[0])), "found: {tried:?}");
    assert!(tried[0].outcome.contains(&sha256(&right)), "expected: {tried:?}");
    assert_eq!(missing[0].sha256, sha256(&right));
    assert!(names(&place).is_empty(), "{:?}", names(&place));
    assert!(!error.is_refusal());
}

#[test]
fn a_file_of_another_length_is_not_even_loaded() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let server = Server::new(&[(&idx.names[0], b"<html>log in here</html>")], Manner::Ranges);
    let error = idx.fetch(&[pair(&server, &idx)], &place).0.unwrap_err();
    let expected = format!("the server has 24 bytes, expected {}", idx.packed[0].len());
    assert!(matches!(&error, FetchError::NotObtained { tried, .. } if tried[0].outcome == expected), "{error:?}");
    assert!(names(&place).is_empty());
}

#[test]
fn no_more_is_written_than_belongs_there() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let server = idx.served(Manner::TooMuch);
    let error = idx.fetch(&[pair(&server, &idx)], &place).0.unwrap_err();
    assert!(
        matches!(&error, FetchError::NotObtained { tried, .. } if tried[0].outcome.starts_with("the server sent more than"))
    );
    assert!(names(&place).is_empty());
}

#[test]
fn the_next_address_is_tried_where_one_has_nothing() {
    let idx = Idx::new();
    for status in ["404 Not Found", "503 Service Unavailable", "302 Found", "204 No Content"] {
        let (_guard, place) = place();
        let (bad, good) = (idx.served(Manner::Status(status)), idx.served(Manner::Ranges));
        idx.fetch(&[idx.names.each_ref().map(|name| nowhere(name)), pair(&bad, &idx), pair(&good, &idx)], &place)
            .0
            .unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(names(&place), idx.names, "{status}");
        assert_eq!(bad.requests().len(), 2, "{status}");
    }
}

#[test]
fn where_nothing_can_be_reached_it_says_which_file_to_put_where_and_takes_it_from_there() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let addresses = [idx.names.each_ref().map(|name| nowhere(name))];
    let error = idx.fetch(&addresses, &place).0.unwrap_err();
    let hint = error.hint().unwrap().to_string();
    for part in [&idx.names[0], &idx.digests[0], &idx.names[1], &idx.digests[1], &place.display().to_string()] {
        assert!(hint.contains(part.as_str()), "{part} in {hint}");
    }
    // One as it is at the address, one unpacked.
    fs::write(place.join(&idx.names[0]), &idx.packed[0]).unwrap();
    fs::write(place.join(idx.names[1].trim_end_matches(".gz")), &idx.plain[1]).unwrap();
    assert!(idx.fetch(&addresses, &place).0.unwrap().was_there);
    Dataset::open(&place, &DatasetOptions::default()).unwrap();
}

#[test]
fn a_file_that_is_another_one_is_named_and_left_alone() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let server = idx.served(Manner::Ranges);
    fs::create_dir_all(&place).unwrap();
    for name in [idx.names[0].clone(), idx.names[0].trim_end_matches(".gz").to_string()] {
        fs::write(place.join(&name), b"my own").unwrap();
        let error = idx.fetch(&[pair(&server, &idx)], &place).0.unwrap_err();
        assert!(matches!(&error, FetchError::OtherFile { found, .. } if *found == sha256(b"my own")), "{error}");
        assert!(error.is_refusal());
        assert_eq!(fs::read(place.join(&name)).unwrap(), b"my own");
        fs::remove_file(place.join(&name)).unwrap();
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_folder_with_other_things_is_refused_untouched() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    fs::create_dir_all(place.join("holiday")).unwrap();
    let error = idx.fetch(&[], &place).0.unwrap_err();
    assert!(matches!(&error, FetchError::Foreign { found, .. } if found == "`holiday`"), "{error}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "no lock is left either");
}

#[test]
fn two_processes_do_not_fetch_into_one_folder() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    fs::create_dir_all(&place).unwrap();
    let lock = File::create(place.join(".lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(idx.fetch(&[], &place).0, Err(FetchError::InUse { .. })));
}

#[test]
fn an_installed_package_is_taken_where_its_contents_are_the_pinned_ones_however_packed() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let installed = tempfile::tempdir().unwrap();
    let folder = installed.path().to_str().unwrap();
    for at in 0..2 {
        fs::write(installed.path().join(&idx.names[at]), gzip(&idx.plain[at], 1)).unwrap();
    }
    let package = Some(DebianPackage { name: "coretune-no-such-package", folder });
    let (result, words) = idx.fetch_with(&[], &place, package, &[]);
    assert!(!result.unwrap().was_there);
    assert!(words[0].starts_with("taken from"), "{words:?}");
    assert_ne!(fs::read(place.join(&idx.names[0])).unwrap(), idx.packed[0], "it is another packing");
    assert!(idx.fetch(&[], &place).0.unwrap().was_there);
}

#[test]
fn an_installed_package_with_other_contents_is_passed_over() {
    let (idx, (_guard, place)) = (Idx::new(), place());
    let installed = tempfile::tempdir().unwrap();
    fs::write(installed.path().join(&idx.names[0]), gzip(b"something else", 6)).unwrap();
    let server = idx.served(Manner::Ranges);
    let folder = installed.path().to_str().unwrap();
    let package = Some(DebianPackage { name: "coretune-no-such-package", folder });
    idx.fetch_with(&[pair(&server, &idx)], &place, package, &[]).0.unwrap();
    assert_eq!(fs::read(place.join(&idx.names[0])).unwrap(), idx.packed[0]);
}

/// Path, type, and contents or target.
type Packed<'a> = (&'a str, tar::EntryType, &'a [u8]);

/// A tar of these entries, gzipped.
fn tgz(entries: &[Packed<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        // Past the crate's own care: names that no well-meant archive has.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(if kind.is_file() { bytes.len() as u64 } else { 0 });
        if matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header.set_link_name_literal(bytes).unwrap();
        }
        header.set_cksum();
        builder.append(&header, if kind.is_file() { *bytes } else { &[] }).unwrap();
    }
    gzip(&builder.into_inner().unwrap(), 6)
}

const FILE: tar::EntryType = tar::EntryType::Regular;
const FOLDER: tar::EntryType = tar::EntryType::Directory;
/// A grey image of one pixel, as PGM.
const IMAGE: &[u8] = b"P5 1 1 255\n\x80";
const SOUND: &[Packed<'_>] = &[
    ("top/", FOLDER, b""),
    ("top/list.csv", FILE, b"not,for,us\n"),
    ("top/train/.hidden", FILE, b"?"),
    ("./top/train/n01/a.pgm", FILE, IMAGE),
    ("top/train/n02/b.pgm", FILE, IMAGE),
    ("top/val/n01/c.pgm", FILE, IMAGE),
    ("top/val/n02/d.pgm", FILE, IMAGE),
];
const FORM: TarGz<'static> = TarGz { top: "top", keep: &["train", "val"], titles: &[("n01", "a cat"), ("n02", "dog")] };

fn fetch_archive(archive: &[u8], address: Option<&str>, folder: &Path) -> Result<Fetched, FetchError> {
    let addresses: Vec<&str> = address.into_iter().collect();
    let digest = sha256(archive);
    let files = [RemoteFile {
        name: "tiny.tgz",
        addresses: &addresses,
        bytes: archive.len() as u64,
        sha256: &digest,
        content: None,
    }];
    told(&DataSet { files: &files, ..set_of(Form::TarGz(FORM)) }, folder).0
}

#[test]
fn of_an_archive_what_is_wanted_is_unpacked_recorded_and_recognised_later() {
    let (archive, (_guard, place)) = (tgz(SOUND), place());
    let server = Server::new(&[("tiny.tgz", &archive)], Manner::HangsUpOnce(100));
    let address = server.address("tiny.tgz");
    assert!(!fetch_archive(&archive, Some(&address), &place).unwrap().was_there);
    assert_eq!(names(&place), [".fetched.json", "classes.txt", "train", "val"]);
    assert!(!place.join("train/.hidden").exists());
    let data = Dataset::open(&place, &DatasetOptions::default()).unwrap();
    assert_eq!(data.format, Format::ImageFolder);
    assert_eq!(
        (&data.classes[..], &data.titles[..]),
        (&["n01".into(), "n02".into()][..], &["a cat".into(), "dog".into()][..])
    );
    assert_eq!((data.train.unwrap().images().len(), data.validation.unwrap().images().len()), (2, 2));
    let requests = server.requests().len();
    assert!(fetch_archive(&archive, Some(&address), &place).unwrap().was_there);
    assert_eq!(server.requests().len(), requests);

    fs::write(place.join("train/n01/mine.pgm"), IMAGE).unwrap();
    let error = fetch_archive(&archive, Some(&address), &place).unwrap_err();
    assert!(matches!(error, FetchError::Changed { .. }) && error.is_refusal(), "{error}");
    assert!(place.join("train/n01/mine.pgm").exists(), "what its user added stays");
}

#[test]
fn an_archive_that_its_user_brought_is_taken_and_stays() {
    let (archive, (_guard, place)) = (tgz(SOUND), place());
    let error = fetch_archive(&archive, Some(&nowhere("tiny.tgz")), &place).unwrap_err();
    assert!(error.hint().unwrap().to_string().contains("put tiny.tgz (SHA-256 "), "{error:?}");
    fs::write(place.join("tiny.tgz"), &archive).unwrap();
    assert!(!fetch_archive(&archive, None, &place).unwrap().was_there);
    assert_eq!(names(&place), [".fetched.json", "classes.txt", "tiny.tgz", "train", "val"]);
    Dataset::open(&place, &DatasetOptions::default()).unwrap();
}

#[test]
fn unpacking_that_was_cut_short_is_done_again_and_moving_goes_on() {
    let (archive, (_guard, place)) = (tgz(SOUND), place());
    fs::create_dir_all(place.join(".unpacking/train/n01")).unwrap();
    fs::write(place.join(".unpacking/train/n01/a.pgm"), b"P5 1").unwrap();
    fs::write(place.join("tiny.tgz"), &archive).unwrap();
    fetch_archive(&archive, None, &place).unwrap();
    assert_eq!(fs::read(place.join("train/n01/a.pgm")).unwrap(), IMAGE);

    fs::create_dir(place.join(".unpacking")).unwrap();
    for name in ["val", ".fetched.json"] {
        fs::rename(place.join(name), place.join(".unpacking").join(name)).unwrap();
    }
    assert!(fetch_archive(&archive, None, &place).unwrap().was_there);
    assert_eq!(names(&place), [".fetched.json", "classes.txt", "tiny.tgz", "train", "val"]);
}

#[test]
fn an_archive_that_reaches_outside_or_links_or_swells_is_refused() {
    let zeros = vec![0; 80 << 20];
    let hostile: [(&str, Packed<'_>); 8] = [
        ("outside", ("top/train/../../../escaped", FILE, b"x")),
        ("outside", ("../escaped", FILE, b"x")),
        ("outside", ("/escaped", FILE, b"x")),
        ("not a file", ("top/train/n01/link", tar::EntryType::Symlink, b"/etc/passwd")),
        ("not a file", ("top/train/n01/link", tar::EntryType::Link, b"/etc/passwd")),
        ("not a file", ("top/elsewhere", tar::EntryType::Fifo, b"")),
        ("far more", ("top/train/n01/zeros", FILE, &zeros)),
        ("far more", ("top/not/taken/zeros", FILE, &zeros)),
    ];
    for (words, entry) in hostile {
        let (archive, (guard, place)) = (tgz(&[SOUND, &[entry]].concat()), place());
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("tiny.tgz"), &archive).unwrap();
        let error = fetch_archive(&archive, None, &place).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, FetchError::Unpack { .. }) && message.contains(words), "{}: {message}", entry.0);
        assert!(!place.join("train").exists() && !place.join(".fetched.json").exists(), "{}", entry.0);
        assert!(!guard.path().join("escaped").exists() && !guard.path().join("cache/escaped").exists());
    }
}

#[test]
fn an_archive_that_is_cut_or_lacks_something_is_refused() {
    let whole = tgz(SOUND);
    let cut = whole[..whole.len() - 30].to_vec();
    for (archive, words) in [(tgz(&SOUND[..5]), "top/val"), (cut, ""), (b"no archive".to_vec(), "")] {
        let (_guard, place) = place();
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("tiny.tgz"), &archive).unwrap();
        let error = fetch_archive(&archive, None, &place).unwrap_err();
        assert!(matches!(&error, FetchError::Unpack { .. }) && error.to_string().contains(words), "{error}");
        assert!(!place.join("train").exists());
    }
}

/// What a file or folder of this name may hold in an archive of the catalogue.
fn stand_in(set: &str, name: &str) -> (String, Vec<u8>) {
    let label_bytes = if set == "cifar100" { 2 } else { 1 };
    let lines = |count: u32| (0..count).flat_map(|line| format!("class {line}\n").into_bytes()).collect();
    match name {
        "batches.meta.txt" => (name.into(), lines(10)),
        "fine_label_names.txt" => (name.into(), lines(100)),
        "coarse_label_names.txt" => (name.into(), lines(20)),
        "LICENSE.txt" => (name.into(), lines(1)),
        "train" | "val" => (format!("{name}/n01440764/a.pgm"), IMAGE.to_vec()),
        _ if name.contains(".bin") => (name.into(), vec![0; label_bytes + 3 * 32 * 32]),
        _ => (format!("{name}/a.pgm"), IMAGE.to_vec()),
    }
}

#[test]
fn what_is_taken_of_each_archive_of_the_catalogue_is_a_form_of_data_that_is_read() {
    for set in CATALOGUE {
        let Form::TarGz(form) = set.form else { continue };
        let files: Vec<_> = form.keep.iter().map(|name| stand_in(set.name, name)).collect();
        let paths: Vec<_> = files.iter().map(|(path, _)| format!("{}/{path}", form.top)).collect();
        let entries: Vec<_> =
            paths.iter().zip(&files).map(|(path, (_, bytes))| (path.as_str(), FILE, bytes.as_slice())).collect();
        let (archive, (_guard, place)) = (tgz(&entries), place());
        let digest = sha256(&archive);
        let pinned = RemoteFile { sha256: &digest, bytes: archive.len() as u64, ..set.files[0] };
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join(pinned.name), &archive).unwrap();
        told(&DataSet { files: &[pinned], ..*set }, &place).0.unwrap_or_else(|error| panic!("{}: {error}", set.name));
        let data = Dataset::open(&place, &DatasetOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        assert!(data.train.is_some(), "{}", set.name);
        if form.titles.is_empty() {
            assert_eq!(data.classes.len(), set.classes as usize, "{}", set.name);
        } else {
            assert_eq!(data.titles[0], "tench", "{}", set.name);
        }
    }
}
