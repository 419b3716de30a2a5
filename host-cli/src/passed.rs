//! The forms of those options of `docker run` that are passed on, read as Docker reads them. Pure.

use std::net::IpAddr;

use crate::volume;

/// Graphics cards to hand over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpus {
    /// So many; -1 is all.
    Count(i64),
    /// These.
    Devices(Vec<String>),
}

/// A limit of each process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// Docker's name, like `nofile`.
    pub name: String,
    /// What a process begins with; -1 is none.
    pub soft: i64,
    /// What it may raise it to.
    pub hard: i64,
}

/// `all`, `2`, `device=0,1`.
///
/// # Errors
/// A sentence that shows the form.
pub fn gpus(text: &str) -> Result<Gpus, String> {
    let wrong =
        || format!("\"{}\" names no graphics cards: write all, 2 or device=0,1", text.escape_default());
    let text = text.trim_matches('"');
    if text == "all" {
        return Ok(Gpus::Count(-1));
    }
    if let Some(list) = text.strip_prefix("device=") {
        let devices: Vec<String> = list.split(',').map(str::to_owned).collect();
        return if devices.iter().any(String::is_empty) { Err(wrong()) } else { Ok(Gpus::Devices(devices)) };
    }
    text.parse().ok().filter(|count| *count > 0).map(Gpus::Count).ok_or_else(wrong)
}

/// `nofile=1024` or `nofile=1024:4096`.
///
/// # Errors
/// A sentence that shows the form.
pub fn ulimit(text: &str) -> Result<Ulimit, String> {
    let read = || {
        let (name, limits) = text.split_once('=')?;
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let (soft, hard) = (soft.parse().ok()?, hard.parse().ok()?);
        let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
        let ordered = soft >= -1 && hard >= -1 && (hard == -1 || (soft != -1 && soft <= hard));
        (named && ordered).then(|| Ulimit { name: name.to_owned(), soft, hard })
    };
    read().ok_or_else(|| {
        format!(
            "\"{}\" is not a limit of a process: write nofile=1024 or nofile=1024:4096",
            text.escape_default()
        )
    })
}

/// `NAME:ADDRESS`, as Docker wants it. The address is what rules are about: a name here opens nothing.
///
/// # Errors
/// A sentence that shows the form.
pub fn host(text: &str) -> Result<String, String> {
    let read = || {
        let (name, address) = text.split_once('=').or_else(|| text.split_once(':'))?;
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        let known = bare == "host-gateway" || bare.parse::<IpAddr>().is_ok();
        (known && is_host_name(name)).then(|| format!("{name}:{bare}"))
    };
    read().ok_or_else(|| format!("\"{}\" is not a host: write example.test:10.1.2.3", text.escape_default()))
}

/// A host's name.
///
/// # Errors
/// A sentence.
pub fn hostname(text: &str) -> Result<String, String> {
    if is_host_name(text) && text.len() <= 63 {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{}\" can't be a host's name: letters, digits, - and . only", text.escape_default()))
    }
}

fn is_host_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(part)
}

/// `NAME=VALUE` or `NAME`. Those of clawker say whose a container is and are set by nobody else.
///
/// # Errors
/// A sentence.
pub fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() {
        Err(format!("\"{}\" is not a label: write NAME=VALUE", text.escape_default()))
    } else if name == "clawker" || name.starts_with("clawker.") {
        Err(format!("The label {} is clawker's own; choose another name", name.escape_default()))
    } else {
        Ok((name.to_owned(), value.to_owned()))
    }
}

/// A folder of the container.
///
/// # Errors
/// A sentence.
pub fn workdir(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{}\" is not a folder of the container: begin it with /", text.escape_default()))
    }
}

/// `TARGET` or `TARGET:OPTIONS`.
///
/// # Errors
/// A sentence, also where the target isn't the agent's.
pub fn tmpfs(text: &str) -> Result<(String, String), String> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    Ok((volume::target(target)?, options.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_forms_are_read() {
        assert_eq!(gpus("all"), Ok(Gpus::Count(-1)));
        assert_eq!(gpus("2"), Ok(Gpus::Count(2)));
        assert_eq!(gpus("\"device=0,1\""), Ok(Gpus::Devices(vec!["0".into(), "1".into()])));
        assert_eq!(ulimit("nofile=1024"), Ok(Ulimit { name: "nofile".into(), soft: 1024, hard: 1024 }));
        assert_eq!(ulimit("core=0:-1"), Ok(Ulimit { name: "core".into(), soft: 0, hard: -1 }));
        assert_eq!(host("db.test:10.1.2.3").as_deref(), Ok("db.test:10.1.2.3"));
        assert_eq!(host("db=[fd00::1]").as_deref(), Ok("db:fd00::1"));
        assert_eq!(host("up:host-gateway").as_deref(), Ok("up:host-gateway"));
        assert_eq!(label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(tmpfs("/tmp:size=64m"), Ok(("/tmp".into(), "size=64m".into())));
        assert_eq!(hostname("dev-1.test").as_deref(), Ok("dev-1.test"));
        assert_eq!(workdir("/srv").as_deref(), Ok("/srv"));
    }

    #[test]
    fn other_forms_are_not() {
        for text in ["", "none", "0", "-1", "device=", "device=0,"] {
            assert!(gpus(text).is_err(), "{text}");
        }
        for text in ["nofile", "=1", "nofile=x", "nofile=5:4", "nofile=-1:4", "NoFile=1"] {
            assert!(ulimit(text).is_err(), "{text}");
        }
        for text in ["", "db", "db:", "db:nowhere", "-db:1.2.3.4", ":1.2.3.4", "a b:1.2.3.4"] {
            assert!(host(text).is_err(), "{text}");
        }
        for text in ["", "=x", "clawker.id=1", "clawker", "clawker.role"] {
            assert!(label(text).is_err(), "{text}");
        }
        assert!(hostname("a_b c").is_err() && workdir("srv").is_err() && tmpfs("/run/clawker:x").is_err());
    }
}
