//! Environment of the interpreter: the node's without what belongs to the node alone.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

const TUNABLES: &str = "GLIBC_TUNABLES";
/// Lets malloc ask for transparent huge pages: 50 ms of page faults in a 100 MB object become 11 ms.
const HUGE_PAGES: &str = "glibc.malloc.hugetlb";

/// Removes the node's own variables but those in `keep`, and asks glibc for huge pages.
///
/// Must be called while the process has one thread.
pub fn clean(keep: &[OsString]) {
    let names: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in names.iter().filter(|name| belongs_to_node(name) && !keep.contains(name)) {
        // SAFETY: the process has one thread, so nobody reads the environment at the same time.
        unsafe { std::env::remove_var(name) };
    }
    let tunables = with_huge_pages(std::env::var_os(TUNABLES));
    // SAFETY: as above.
    unsafe { std::env::set_var(TUNABLES, tunables) };
}

fn belongs_to_node(name: &OsStr) -> bool {
    let name = name.as_bytes();
    [&b"RELEASE_"[..], b"ERL_"].iter().any(|prefix| name.starts_with(prefix))
        || [&b"ROOTDIR"[..], b"BINDIR", b"EMU", b"PROGNAME", b"COOKIE"].contains(&name)
}

/// Appends the tunable unless the user has decided about it.
fn with_huge_pages(tunables: Option<OsString>) -> OsString {
    let mut tunables = tunables.unwrap_or_default();
    let decided = tunables.as_bytes().windows(HUGE_PAGES.len()).any(|part| part == HUGE_PAGES.as_bytes());
    if !decided {
        if !tunables.is_empty() {
            tunables.push(":");
        }
        tunables.push(HUGE_PAGES);
        tunables.push("=1");
    }
    tunables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_nodes_variables() {
        for name in ["RELEASE_COOKIE", "ERL_FLAGS", "ROOTDIR", "EMU"] {
            assert!(belongs_to_node(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "HOME", "PERL_LOCAL", "PYTHONPATH"] {
            assert!(!belongs_to_node(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn respects_the_users_tunables() {
        let of = |text: Option<&str>| with_huge_pages(text.map(OsString::from)).into_string().unwrap();
        assert_eq!(of(None), "glibc.malloc.hugetlb=1");
        assert_eq!(of(Some("glibc.malloc.check=1")), "glibc.malloc.check=1:glibc.malloc.hugetlb=1");
        assert_eq!(of(Some("glibc.malloc.hugetlb=0")), "glibc.malloc.hugetlb=0");
    }
}
