//! What the pool asked for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The settings of option `sandbox`, as `--sandbox KEY=VALUE`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `read`: readable and executable beside what the system and Python need.
    pub read: Vec<PathBuf>,
    /// `write`: writable beside the worker's temporary directory.
    pub write: Vec<PathBuf>,
    /// `network`: other sockets than those of the same machine.
    pub network: bool,
    /// `unix_sockets`: sockets of the same machine that have an address.
    pub unix_sockets: bool,
    /// `shared_memory`: `/dev/shm`, which locks and queues of multiprocessing need.
    pub shared_memory: bool,
    /// `metadata`: changes of mode, owner, times and attributes of files.
    pub metadata: bool,
    /// `processes`: processes that the worker may have beside itself.
    pub processes: Option<u32>,
    /// `files`: `RLIMIT_NOFILE`.
    pub files: Option<u64>,
    /// `cpu`: `RLIMIT_CPU` in seconds.
    pub cpu: Option<u64>,
    /// `required`: refuse to start where the kernel lacks something.
    pub required: bool,
    /// `landlock`: newest Landlock ABI to use. Tests are on an old kernel by this.
    pub landlock: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read: Vec::new(),
            write: Vec::new(),
            network: false,
            unix_sockets: true,
            shared_memory: true,
            metadata: false,
            processes: None,
            files: None,
            cpu: None,
            required: true,
            landlock: i32::MAX,
        }
    }
}

impl Settings {
    /// Reads one `KEY=VALUE`; `None` if it is no such thing.
    pub fn set(&mut self, setting: &OsStr) -> Option<()> {
        let bytes = setting.as_bytes();
        let (key, value) = bytes.split_at_checked(bytes.iter().position(|byte| *byte == b'=')?)?;
        let value = OsStr::from_bytes(&value[1..]);
        match key {
            b"read" => self.read.push(value.into()),
            b"write" => self.write.push(value.into()),
            b"network" => self.network = parse(value)?,
            b"unix_sockets" => self.unix_sockets = parse(value)?,
            b"shared_memory" => self.shared_memory = parse(value)?,
            b"metadata" => self.metadata = parse(value)?,
            b"processes" => self.processes = Some(parse(value)?),
            b"files" => self.files = Some(parse(value)?),
            b"cpu" => self.cpu = Some(parse(value)?),
            b"required" => self.required = parse(value)?,
            b"landlock" => self.landlock = parse(value)?,
            _ => return None,
        }
        Some(())
    }
}

fn parse<T: std::str::FromStr>(value: &OsStr) -> Option<T> {
    value.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_setting() {
        let mut settings = Settings::default();
        let lines = "read=/a=b read=/c write=/d network=true unix_sockets=false shared_memory=false metadata=true \
                     processes=3 files=64 cpu=5 required=false landlock=1";
        lines.split_whitespace().for_each(|line| settings.set(OsStr::new(line)).expect(line));
        assert_eq!(settings.read, [PathBuf::from("/a=b"), PathBuf::from("/c")]);
        assert_eq!(settings.write, [PathBuf::from("/d")]);
        assert!(settings.network && settings.metadata);
        assert!(!settings.unix_sockets && !settings.shared_memory && !settings.required);
        assert_eq!(
            (settings.processes, settings.files, settings.cpu, settings.landlock),
            (Some(3), Some(64), Some(5), 1)
        );
        for bad in ["read", "network=perhaps", "processes=-1", "colour=red"] {
            assert_eq!(settings.set(OsStr::new(bad)), None, "{bad}");
        }
    }
}
