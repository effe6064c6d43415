//! A fingerprint of the protocol: node and workers that were built from different sources must not talk to each other.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=src");
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files);
    files.sort();
    // FNV-1a, over the names as well.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in files {
        let text = std::fs::read(&file).expect("a source file can be read");
        for byte in file.as_os_str().as_encoded_bytes().iter().chain(&text) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("cargo::rustc-env=SHM_PROTO_FINGERPRINT={:08x}", hash >> 32 ^ hash & 0xffff_ffff);
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("the sources are there") {
        let path = entry.expect("the sources are there").path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
