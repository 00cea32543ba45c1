//! The folder for files that can be made or fetched again.

use std::ffi::OsString;
use std::path::PathBuf;

/// `$XDG_CACHE_HOME/coretune/NAME`, else `~/.cache/coretune/NAME`; none if neither `XDG_CACHE_HOME` nor `HOME` names
/// an absolute folder.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    Some(below(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"))?.join(name))
}

fn below(cache_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |folder: OsString| Some(PathBuf::from(folder)).filter(|path| path.is_absolute());
    let cache = cache_home.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".cache")))?;
    Some(cache.join("coretune"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_lies_where_the_desktop_standard_says() {
        let os = |text: &str| Some(OsString::from(text));
        let found = |cache, home| below(cache, home).map(|path| path.display().to_string());
        assert_eq!(found(os("/c"), os("/h")).as_deref(), Some("/c/coretune"));
        assert_eq!(found(os("relative"), os("/h")).as_deref(), Some("/h/.cache/coretune"));
        assert_eq!(found(None, os("/h")).as_deref(), Some("/h/.cache/coretune"));
        assert_eq!(found(None, None), None);
    }
}
