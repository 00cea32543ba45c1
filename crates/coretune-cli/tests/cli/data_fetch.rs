use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

use super::{coretune, stderr, stdout};

/// Runs `coretune data fetch` with this proxy for every address, and no programs but those in `programs`.
fn through(proxy: &str, programs: &Path, arguments: &[&str], cache: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coretune"));
    command.args(["data", "fetch"]).args(arguments).env("XDG_CACHE_HOME", cache).env("PATH", programs);
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"] {
        command.env(name, proxy);
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy").output().expect("the binary starts")
}

/// Runs `coretune data fetch` where no address can be reached and no package either.
fn cut_off(arguments: &[&str], cache: &Path) -> Output {
    // Nothing listens on the port of discard.
    through("http://127.0.0.1:9", cache, arguments, cache)
}

/// Whether the Debian package of Fashion-MNIST is installed: it is read then, and nothing is fetched.
fn package_is_installed() -> bool {
    let installed = Path::new("/usr/share/datasets/fashion-mnist").exists();
    if installed {
        eprintln!("skipped: needs a machine without the Debian package dataset-fashion-mnist");
    }
    installed
}

#[test]
fn the_list_names_size_classes_licence_and_address() {
    let output = coretune(&["data", "fetch", "--list"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in ["fashion-mnist", "30.9 MB", "10 classes", "licence: MIT", "https://github.com/zalandoresearch"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");

    let output = coretune(&["data", "fetch", "--list", "--json"]);
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cifar = list.as_array().unwrap().iter().find(|set| set["name"] == "cifar100").unwrap();
    assert_eq!(cifar["classes"], 100);
    assert_eq!(cifar["files"][0]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn a_name_that_is_not_known_is_refused_with_the_nearest_one() {
    let output = coretune(&["data", "fetch", "cifar-10"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("called cifar-10 can be fetched\n\nhint: did you mean cifar10?"),
        "{}",
        stderr(&output)
    );
    let output = coretune(&["data", "fetch", "my holiday"]);
    assert!(stderr(&output).contains("hint: coretune data fetch --list"), "{}", stderr(&output));
    assert_eq!(coretune(&["data", "fetch"]).status.code(), Some(2));
}

#[test]
fn where_nothing_can_be_reached_it_says_what_to_put_where() {
    let cache = tempfile::tempdir().unwrap();
    let output = cut_off(&["cifar10"], cache.path());
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let folder = cache.path().join("coretune/data/cifar10").display().to_string();
    let digest = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd";
    let hint = format!("hint: put cifar-10-binary.tar.gz (SHA-256 {digest}) into {folder} and run the command again");
    assert!(text.contains(&hint), "{text}");
    assert!(text.contains("tried      https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"), "{text}");
    assert!(stdout(&output).is_empty());
}

#[test]
fn where_nothing_can_be_reached_it_names_the_package_to_install() {
    if package_is_installed() {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let output = cut_off(&["fashion-mnist"], cache.path());
    assert!(stderr(&output).contains("install the Debian package dataset-fashion-mnist"), "{}", stderr(&output));
}

#[test]
fn a_file_that_is_another_one_and_a_folder_of_other_things_are_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("data");
    let fetch = || cut_off(&["cifar10", "--output", output.to_str().unwrap()], folder.path());
    fs::create_dir(&output).unwrap();
    fs::write(output.join("cifar-10-binary.tar.gz"), b"<html>").unwrap();
    let ended = fetch();
    assert_eq!(ended.status.code(), Some(2), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("expected c4a38c50"), "{}", stderr(&ended));
    fs::write(output.join("notes.txt"), b"mine").unwrap();
    let ended = fetch();
    assert_eq!(ended.status.code(), Some(2), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("holds other files: `notes.txt`"), "{}", stderr(&ended));
    assert!(output.join("notes.txt").exists() && output.join("cifar-10-binary.tar.gz").exists());
}

#[test]
fn the_proxy_that_the_environment_names_is_asked() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").unwrap();
        line
    });
    let cache = tempfile::tempdir().unwrap();
    let output = through(&address, cache.path(), &["cifar100"], cache.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(asked.join().unwrap().starts_with("CONNECT www.cs.toronto.edu:443 "));
}

/// A program of this name that runs these lines of shell.
fn program(folder: &Path, name: &str, lines: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_package_with_other_contents_is_not_taken() {
    if package_is_installed() {
        return;
    }
    let (programs, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    program(programs.path(), "apt-get", "[ \"$1\" = download ] && echo package > some.deb");
    let put = "folder=$3/usr/share/datasets/fashion-mnist; PATH=/usr/bin:/bin; mkdir -p $folder";
    program(programs.path(), "dpkg-deb", &format!("{put}; echo other > $folder/train-images-idx3-ubyte.gz"));
    let output = through("http://127.0.0.1:9", programs.path(), &["fashion-mnist"], cache.path());
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("trying apt-get download dataset-fashion-mnist"), "{text}");
    assert!(text.contains("expected 3aede38d") && text.contains("hint: put train-images-idx3-ubyte.gz"), "{text}");
    let left: Vec<_> = fs::read_dir(cache.path().join("coretune/data/fashion-mnist")).unwrap().collect();
    assert_eq!(left.len(), 1, "the lock alone: {left:?}");
}
