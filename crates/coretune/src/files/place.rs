use std::path::{Path, PathBuf};

/// The path from the root of the file system; as given if the current folder is unknown.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// A file relative to `root`, however the two are given; its absolute path if it lies elsewhere.
pub(crate) fn below(root: &Path, file: &Path) -> PathBuf {
    let (file, root) = (absolute(file), absolute(root));
    file.strip_prefix(root).map_or_else(|_| file.clone(), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_below_a_root_has_one_name() {
        let here = std::env::current_dir().unwrap();
        let expected = Path::new("train/cat/1.png");
        for (root, file) in [
            (PathBuf::from("data"), here.join("data").join(expected)),
            (here.join("data"), Path::new("data").join(expected)),
            (here.join("data/."), here.join("data").join(expected)),
        ] {
            assert_eq!(below(&root, &file), expected, "{} below {}", file.display(), root.display());
        }
        assert_eq!(below(Path::new("data"), Path::new("/other/1.png")), Path::new("/other/1.png"));
    }
}
