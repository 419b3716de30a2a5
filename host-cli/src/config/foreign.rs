//! Keys of the original clawker's files. What means the same here is read; a key without a meaning, whose loss opens
//! nothing, is named in a warning and left out; one that held something shut, and can't here, is an error.

use std::path::Path;

use serde_json::Value;

use super::ConfigError;

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Another name for this one.
    Renamed(&'static str),
    /// Left out, with what the user should know.
    LeftOut(&'static str),
    /// Refused where it says anything but this.
    Refused(Says, &'static str),
}

/// What a refused key may say all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// `true`.
    True,
    /// An empty list.
    Nothing,
}

use Fate::{LeftOut, Refused, Renamed};

/// The keys, each with the path to it.
const KEYS: [(&str, Fate); 42] = [
    ("name", Renamed("project")),
    ("version", LeftOut("there is one form of this file")),
    ("harnesses", LeftOut("agent.command and build say what runs")),
    ("stacks", LeftOut("build.image and build.instructions say what is installed")),
    ("bundles", LeftOut("nothing is fetched from elsewhere")),
    ("aliases", LeftOut("your shell has aliases")),
    ("monitor", LeftOut("there is no monitoring stack")),
    ("monitoring", LeftOut("there is no monitoring stack")),
    ("loop", LeftOut("a loop is the caller's: clawker run in a script")),
    ("build.context", LeftOut("only what build.instructions.copy names is sent")),
    ("build.build_args", LeftOut("write build.instructions.args, or clawker build --build-arg")),
    ("build.stacks", LeftOut("build.image and build.instructions say what is installed")),
    ("build.harnesses", LeftOut("agent.command and build say what runs")),
    ("build.inject", LeftOut("write its RUN lines into build.instructions.root_run or user_run")),
    ("build.instructions.expose", LeftOut("ports are opened by clawker run -p")),
    ("build.instructions.volumes", LeftOut("volumes are mounted by clawker run -v")),
    ("build.instructions.workdir", LeftOut("an agent starts in its project")),
    ("build.instructions.healthcheck", LeftOut("a health check would run as root, beside the fence")),
    ("build.instructions.shell", LeftOut("steps run with sh")),
    ("agent.includes", LeftOut("an agent sees its project")),
    ("agent.memory", LeftOut("an agent sees its project")),
    ("agent.editor", LeftOut("set agent.env: {EDITOR: ...}")),
    ("agent.visual", LeftOut("set agent.env: {VISUAL: ...}")),
    ("agent.shell", LeftOut("clawker shell takes the image's")),
    ("agent.enable_shared_dir", LeftOut("share a folder with clawker run -v")),
    ("agent.pre_run", LeftOut("put it before the program in agent.command")),
    ("agent.claude_code.mount_projects", LeftOut("Claude's folder is the agent's own volume")),
    ("agent.claude_code.env_file", LeftOut("set agent.env_file")),
    ("agent.claude_code.from_env", LeftOut("set agent.from_env")),
    ("agent.claude_code.env", LeftOut("set agent.env")),
    ("agent.claude_code.post_init", LeftOut("set agent.post_init")),
    ("agent.claude_code.pre_run", LeftOut("put it before the program in agent.command")),
    ("agent.claude_code.path", LeftOut("agent.command and build say what runs")),
    ("workspace.remote_path", LeftOut("a project has the same path inside")),
    ("security.enable_host_proxy", LeftOut("there is none; security.git_credentials lends what git needs")),
    ("security.git_credentials.forward_gpg", LeftOut("no document is signed for an agent")),
    ("security.firewall.git_credentials", LeftOut("it stands under security")),
    ("security.firewall.ip_range_sources", LeftOut("write rules for names, or for ranges of addresses")),
    (
        "security.cap_add",
        Refused(
            Says::Nothing,
            "agents hold no capability; take it out, or do that step in build.instructions.root_run",
        ),
    ),
    (
        "security.firewall.enable",
        Refused(
            Says::True,
            "a project can't switch it off; clawker firewall disable --agent NAME does, or settings.yaml",
        ),
    ),
    (
        "security.firewall.override_domains",
        Refused(Says::Nothing, "what is built in stays; shut a name by a rule: {dst: NAME, action: deny}"),
    ),
    (
        "security.firewall.remove_domains",
        Refused(Says::Nothing, "shut a name by a rule: {dst: NAME, action: deny}"),
    ),
];

/// The text with such keys blanked out, so that every other place in it stays, and what to tell the user.
///
/// # Errors
/// [`ConfigError::Form`] for a key that is refused, or that can't be told from what surrounds it.
pub fn without(file: &Path, text: &str) -> Result<(String, Vec<String>), ConfigError> {
    // What is no YAML is the typed reader's to explain.
    let Ok(value) = super::parse::<Value>(file, text) else { return Ok((text.to_owned(), Vec::new())) };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut warnings = Vec::new();
    for (key, fate) in KEYS {
        let Some(said) = at(&value, key) else { continue };
        let place = find(&lines, key);
        let (line, column) = place.map_or((1, 1), |(line, column)| (line as u64 + 1, column as u64 + 1));
        let refuse = |why: &str| ConfigError::at(file, line, column, format!("{key}: {why}"));
        let Some((line, column)) = place else {
            return Err(refuse(
                "a key of the original's, which is only left out where it has lines of its own",
            ));
        };
        match fate {
            Renamed(new) if at(&value, new).is_some() => {
                return Err(refuse(&format!("{new} is the same; give one")));
            }
            Renamed(new) => {
                if let Some(text) = lines.get_mut(line) {
                    let last = key.rsplit('.').next().unwrap_or(key);
                    *text = text.replacen(last, new, 1);
                }
                continue;
            }
            Refused(may, why) if !says(said, may) => return Err(refuse(why)),
            Refused(..) => {}
            LeftOut(why) => {
                let file = file.display();
                warnings
                    .push(format!("{file}:{}: {key} has no meaning here and is left out: {why}", line + 1));
            }
        }
        blank(&mut lines, line, column);
    }
    let mut text = lines.join("\n");
    text.push('\n');
    Ok((text, warnings))
}

fn at<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(value, |value, name| value.get(name))
}

fn says(value: &Value, may: Says) -> bool {
    match may {
        Says::True => *value == Value::Bool(true) || value.is_null(),
        Says::Nothing => value.is_null() || value.as_array().is_some_and(Vec::is_empty),
    }
}

/// The line and column of a key that stands at the beginning of a line.
fn find(lines: &[String], key: &str) -> Option<(usize, usize)> {
    let mut path: Vec<(usize, &str)> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        path.retain(|(at, _)| *at < indent);
        let Some((name, rest)) = text.split_once(':') else { continue };
        if !(rest.is_empty() || rest.starts_with(' ')) {
            continue;
        }
        path.push((indent, name.trim_matches(['"', '\''])));
        if path.iter().map(|(_, name)| *name).eq(key.split('.')) {
            return Some((number, indent));
        }
    }
    None
}

/// Empties a key's lines: its own, and those that are deeper or are items of its list.
fn blank(lines: &mut [String], first: usize, indent: usize) {
    for (number, line) in lines.iter_mut().enumerate().skip(first) {
        let text = line.trim_start();
        let own = line.len() - text.len();
        let ends = !text.is_empty()
            && !text.starts_with('#')
            && (own < indent || own == indent && !text.starts_with("- "));
        if number > first && ends {
            return;
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, Vec<String>), String> {
        without(Path::new("f"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_has_no_meaning_is_named_and_every_other_line_stays_where_it_is() {
        let text = "# mine\nname: shop\nversion: \"1\"\nagent:\n  editor: vim\n  env:\n    A: b\n  post_init: |\n    name: x\n\
                    \n    version: 2\nbuild:\n  inject:\n    after_from:\n    - RUN x\n    # more\n    after_packages:\n      - |\n        RUN y: z\n  image: debian\n";
        let (left, warnings) = read(text).unwrap();
        let lines: Vec<&str> = left.lines().collect();
        assert_eq!(lines.len(), text.lines().count());
        assert_eq!((lines[1], lines[2], lines[4], lines[6]), ("project: shop", "", "", "    A: b"));
        assert_eq!((lines[8], lines[10]), ("    name: x", "    version: 2"));
        assert_eq!(lines[12..19].join(""), "");
        assert_eq!(lines[19], "  image: debian");
        assert_eq!(warnings.len(), 3);
        assert!(warnings[0].starts_with("f:3: version has no meaning here"), "{warnings:?}");
    }

    #[test]
    fn what_held_something_shut_is_refused_where_it_says_anything() {
        let firewall = |line: &str| read(&format!("security:\n  firewall:\n    {line}\n"));
        assert!(firewall("enable: true").unwrap().1.is_empty());
        assert!(firewall("override_domains: []").unwrap().1.is_empty());
        let error = firewall("enable: false").unwrap_err();
        assert!(error.starts_with("f:3:5: security.firewall.enable: "), "{error}");
        for line in ["override_domains: [a.test]", "remove_domains:\n    - a.test"] {
            assert!(firewall(line).unwrap_err().contains("action: deny"), "{line}");
        }
        assert!(read("security:\n  cap_add: [SYS_PTRACE]\n").unwrap_err().contains("capability"));
        assert!(read("name: a\nproject: b\n").is_err());
        assert!(read("agent: {editor: vim}\n").unwrap_err().contains("lines of its own"));
    }

    #[test]
    fn a_file_without_them_is_as_it_was() {
        let text = "project: a\nsecurity:\n  firewall:\n    rules:\n      - {dst: a.test}\n";
        assert_eq!(read(text).unwrap(), (text.to_owned(), vec![]));
        assert_eq!(read("a: [").unwrap().0, "a: [");
    }
}
