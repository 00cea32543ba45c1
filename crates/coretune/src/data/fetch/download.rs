//! One file from its addresses: into `FILE.partial`, from where an earlier attempt ended, verified, renamed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::error::Tried;
use super::{Doing, Event, FetchError, RemoteFile, Tell, digest};
use crate::files;

const CONNECT: Duration = Duration::from_secs(20);
/// A connection that is silent for this long is taken for broken.
const SILENCE: Duration = Duration::from_mins(1);
/// Attempts in a row that may end without a byte gained.
const IDLE_ATTEMPTS: u32 = 3;
/// Attempts in all: a connection that breaks more often is not worth going on with.
const ATTEMPTS: u32 = 100;
const CHUNK: usize = 1 << 17;

/// Why an attempt ended early.
enum Ended {
    /// Nothing is to be hoped for from this address.
    Address(String),
    /// The connection broke.
    Connection(String),
    /// The file cannot be written here.
    Here(FetchError),
}

/// Asks for files over HTTP, through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` names.
pub(super) struct Client {
    agent: Agent,
}

impl Client {
    /// A client that trusts the certificates of the file `SSL_CERT_FILE`, or else those of Mozilla.
    pub(super) fn new() -> Self {
        let tls = TlsConfig::builder().root_certs(trusted().unwrap_or(RootCerts::WebPki)).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .user_agent(concat!("coretune/", env!("CARGO_PKG_VERSION")))
            .build();
        Client { agent: config.new_agent() }
    }

    /// Whether `file` now lies in `folder`, whole and with its digest; what was tried in vain is added to `tried`.
    pub(super) fn get(
        &self,
        file: &RemoteFile<'_>,
        folder: &Path,
        tried: &mut Vec<Tried>,
        tell: &mut Tell<'_>,
    ) -> Result<bool, FetchError> {
        let partial = partial_of(&folder.join(file.name));
        for address in file.addresses {
            match self.get_from(address, file, &partial, tell) {
                Ok(()) => return keep(&partial, &folder.join(file.name)).map(|()| true),
                Err(Ended::Here(error)) => return Err(error),
                Err(Ended::Address(outcome) | Ended::Connection(outcome)) => {
                    tried.push(Tried { source: (*address).to_string(), outcome });
                }
            }
        }
        Ok(false)
    }

    /// The whole file in `partial`, with its digest.
    fn get_from(&self, address: &str, file: &RemoteFile<'_>, partial: &Path, tell: &mut Tell<'_>) -> Result<(), Ended> {
        let begun = length(partial) > 0;
        self.fill(address, file, partial, tell)?;
        let Some(found) = other_digest(file, partial)? else { return Ok(()) };
        if begun {
            // What an earlier attempt left may have been of something else.
            tell(Event::Note(format!("the partial download of {} was damaged; downloading it again", file.name)));
            self.fill(address, file, partial, tell)?;
            return match other_digest(file, partial)? {
                None => Ok(()),
                Some(found) => Err(wrong(file, &found)),
            };
        }
        Err(wrong(file, &found))
    }

    /// Asks until `partial` has the length of the file.
    fn fill(&self, address: &str, file: &RemoteFile<'_>, partial: &Path, tell: &mut Tell<'_>) -> Result<(), Ended> {
        let (mut idle, mut attempts) = (0, 0);
        loop {
            if length(partial) > file.bytes {
                remove(partial)?;
            }
            let before = length(partial);
            if before == file.bytes {
                return Ok(());
            }
            let ended = match self.transfer(address, before, file, partial, tell) {
                Err(Ended::Connection(outcome)) => outcome,
                outcome => return outcome,
            };
            attempts += 1;
            idle = if length(partial) > before { 0 } else { idle + 1 };
            if idle == IDLE_ATTEMPTS || attempts == ATTEMPTS {
                return Err(Ended::Connection(ended));
            }
            tell(Event::Note(format!("{ended}; continuing")));
            sleep(Duration::from_millis(if idle == 0 { 0 } else { 1000 }));
        }
    }

    /// One request, from byte `from` on where the server can.
    fn transfer(
        &self,
        address: &str,
        from: u64,
        file: &RemoteFile<'_>,
        partial: &Path,
        tell: &mut Tell<'_>,
    ) -> Result<(), Ended> {
        let mut request = self.agent.get(address);
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        // A server that gave something before may be back in a second.
        let ended = if from > 0 { Ended::Connection } else { Ended::Address };
        let response = request.call().map_err(|error| ended(error.to_string()))?;
        let from = beginning(&response, from, partial)?;
        if let Some(rest) = response.body().content_length()
            && from + rest != file.bytes
        {
            return Err(Ended::Address(format!("the server has {} bytes, expected {}", from + rest, file.bytes)));
        }
        if from > 0 {
            tell(Event::Resumed { file: file.name, from });
        }
        append(response.into_body(), from, file, partial, tell)
    }
}

/// The certificates that `SSL_CERT_FILE` holds, where it names a file with some.
fn trusted() -> Option<RootCerts> {
    let pem = fs::read(std::env::var_os("SSL_CERT_FILE")?).ok()?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    (!certificates.is_empty()).then(|| RootCerts::new_with_certs(&certificates))
}

/// At which byte the answer begins: the one that was asked for, or 0 from a server that does not do ranges.
fn beginning(response: &Response<Body>, asked: u64, partial: &Path) -> Result<u64, Ended> {
    match response.status() {
        StatusCode::OK => Ok(0),
        StatusCode::PARTIAL_CONTENT if range_start(response) == Some(asked) => Ok(asked),
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if asked > 0 => {
            remove(partial)?;
            Err(Ended::Connection("the server sent another range than the one requested".into()))
        }
        status => Err(Ended::Address(format!("the answer was HTTP {status}"))),
    }
}

/// `100` of `bytes 100-199/200`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.trim().strip_prefix("bytes")?.trim_start().split('-').next()?.parse().ok()
}

/// Writes what comes behind the first `from` bytes of `partial`.
fn append(body: Body, from: u64, file: &RemoteFile<'_>, partial: &Path, tell: &mut Tell<'_>) -> Result<(), Ended> {
    let here = |source| Ended::Here(FetchError::write(partial)(source));
    let mut output = File::options().create(true).append(true).open(partial).map_err(here)?;
    output.set_len(from).map_err(here)?;
    let mut reader = body.into_reader();
    let (mut chunk, mut done) = (vec![0; CHUNK], from);
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) if done == file.bytes => return Ok(()),
            Ok(0) => return Err(broken(done, file, None)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(done, file, Some(&error))),
        };
        done += read as u64;
        if done > file.bytes {
            remove(partial)?;
            return Err(Ended::Address(format!("the server sent more than the {} bytes expected", file.bytes)));
        }
        output.write_all(&chunk[..read]).map_err(here)?;
        tell(Event::Advanced { doing: Doing::Fetching, file: file.name, done, total: file.bytes });
    }
}

fn broken(done: u64, file: &RemoteFile<'_>, error: Option<&io::Error>) -> Ended {
    let why = error.map(|error| format!(" ({error})")).unwrap_or_default();
    Ended::Connection(format!("the connection ended after {done} of {} bytes{why}", file.bytes))
}

/// The digest of `partial` where it is not that of `file`; the file is then removed.
fn other_digest(file: &RemoteFile<'_>, partial: &Path) -> Result<Option<String>, Ended> {
    let found = digest::of_file(partial).map_err(Ended::Here)?;
    if found == file.sha256 {
        return Ok(None);
    }
    remove(partial)?;
    Ok(Some(found))
}

fn wrong(file: &RemoteFile<'_>, found: &str) -> Ended {
    Ended::Address(format!("the download has the SHA-256 {found}, expected {}; it was removed", file.sha256))
}

/// `FILE.partial`.
pub(super) fn partial_of(path: &Path) -> PathBuf {
    files::beside(path, ".partial")
}

/// The verified file gets its name.
pub(super) fn keep(partial: &Path, path: &Path) -> Result<(), FetchError> {
    files::move_into_place(partial, path).map_err(FetchError::write(path))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn remove(path: &Path) -> Result<(), Ended> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Ended::Here(FetchError::write(path)(error))),
        _ => Ok(()),
    }
}
