//! Command line of the host.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::sandbox::Settings;

/// What the pool asked for.
#[derive(Debug)]
pub struct Args {
    /// Interpreter to become.
    pub python: PathBuf,
    /// Shared object of the worker core.
    pub core: PathBuf,
    /// Name of the pool, shown by `ps`.
    pub pool: OsString,
    /// Number of the worker in its pool, shown by `ps`.
    pub id: OsString,
    /// `RLIMIT_DATA` in bytes.
    pub rlimit_data: Option<u64>,
    /// Working directory.
    pub cd: Option<PathBuf>,
    /// Variables that reach the interpreter although they are of the kind that belongs to the node.
    pub keep_env: Vec<OsString>,
    /// What becomes standard output and error.
    pub output: Option<PathBuf>,
    /// What the worker is kept from.
    pub sandbox: Option<Settings>,
}

/// Why the command line was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// An option that does not exist.
    #[error("could not read the arguments: unknown option {0:?}")]
    Unknown(OsString),
    /// An option without its value.
    #[error("could not read the arguments: {0} needs a value")]
    NoValue(&'static str),
    /// A value that is not what the option takes.
    #[error("could not read the arguments: {0} takes a whole number, not {1:?}")]
    NotANumber(&'static str, OsString),
    /// A setting of the sandbox that does not exist or has another kind of value.
    #[error("could not read the arguments: {0:?} is no setting of the sandbox")]
    Sandbox(OsString),
    /// A required option is missing.
    #[error("could not read the arguments: {0} is missing")]
    Missing(&'static str),
}

/// Reads `--python EXE --core PATH --pool NAME --id N [--rlimit-data BYTES] [--cd DIR] [--output PATH]
/// [--keep-env NAME]... [--sandbox KEY=VALUE]...`.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Args, ArgsError> {
    let (mut python, mut core, mut pool, mut id) = (None, None, None, None);
    let (mut rlimit_data, mut cd, mut output, mut sandbox) = (None, None, None, None);
    let mut keep_env = Vec::new();
    let mut args = args;
    while let Some(option) = args.next() {
        let mut value = |name| args.next().ok_or(ArgsError::NoValue(name));
        match option.to_str() {
            Some("--python") => python = Some(value("--python")?),
            Some("--core") => core = Some(value("--core")?),
            Some("--pool") => pool = Some(value("--pool")?),
            Some("--id") => id = Some(value("--id")?),
            Some("--rlimit-data") => rlimit_data = Some(number("--rlimit-data", value("--rlimit-data")?)?),
            Some("--cd") => cd = Some(value("--cd")?),
            Some("--output") => output = Some(value("--output")?),
            Some("--keep-env") => keep_env.push(value("--keep-env")?),
            Some("--sandbox") => {
                let setting = value("--sandbox")?;
                let settings: &mut Settings = sandbox.get_or_insert_default();
                settings.set(&setting).ok_or(ArgsError::Sandbox(setting))?;
            }
            _ => return Err(ArgsError::Unknown(option)),
        }
    }
    Ok(Args {
        python: python.ok_or(ArgsError::Missing("--python"))?.into(),
        core: core.ok_or(ArgsError::Missing("--core"))?.into(),
        pool: pool.ok_or(ArgsError::Missing("--pool"))?,
        id: id.ok_or(ArgsError::Missing("--id"))?,
        rlimit_data,
        cd: cd.map(PathBuf::from),
        keep_env,
        output: output.map(PathBuf::from),
        sandbox,
    })
}

fn number<N: std::str::FromStr>(name: &'static str, value: OsString) -> Result<N, ArgsError> {
    value.to_str().and_then(|text| text.parse().ok()).ok_or(ArgsError::NotANumber(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Args, ArgsError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn reads_all_options() {
        let args = parse_words("--python /p --core /c.so --pool default --id 3 --rlimit-data 1024 --cd /tmp").unwrap();
        assert_eq!(args.python, PathBuf::from("/p"));
        assert_eq!(args.rlimit_data, Some(1024));
        assert_eq!(args.cd, Some(PathBuf::from("/tmp")));
    }

    #[test]
    fn names_what_is_wrong() {
        let text = |line| parse_words(line).unwrap_err().to_string();
        assert!(text("--python /p --core /c --pool x").contains("--id is missing"));
        assert!(text("--python").contains("--python needs a value"));
        assert!(text("--rlimit-data many").contains("whole number"));
        assert!(text("--sandbox moon=full").contains("\"moon=full\" is no setting"));
        assert!(text("--frob 1").contains("unknown option \"--frob\""));
    }
}
