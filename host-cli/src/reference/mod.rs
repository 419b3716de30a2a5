//! The reference of the command line, from the definition that parses it: manual pages and a page of the docs.

mod examples;

use std::path::PathBuf;

use clap::{Command, CommandFactory};

use crate::cli::{Cli, WIDTH};

/// A file of the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// `clawker-firewall-add.1`
    pub name: PathBuf,
    /// Its text.
    pub text: Vec<u8>,
}

/// Every command that isn't hidden, with the words that call it, as the help shows it at its full width.
pub fn commands() -> Vec<(String, Command)> {
    let mut root = Cli::command().term_width(WIDTH);
    root.build();
    let mut all = Vec::new();
    collect("clawker", &root, &mut all);
    all
}

fn collect(path: &str, command: &Command, all: &mut Vec<(String, Command)>) {
    all.push((path.to_owned(), command.clone()));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        collect(&format!("{path} {}", sub.get_name()), sub, all);
    }
}

/// A manual page for each command.
///
/// # Errors
/// Never in practice: it is written to memory.
pub fn manual() -> std::io::Result<Vec<Page>> {
    let page = |(path, command): (String, Command)| {
        let title = path.replace(' ', "-");
        let mut text = Vec::new();
        clap_mangen::Man::new(command).render(&mut text)?;
        Ok(Page { name: PathBuf::from(format!("{title}.1")), text })
    };
    commands().into_iter().map(page).collect()
}

/// The page of the docs: what `--help` prints, command by command.
pub fn markdown() -> String {
    let mut text = String::from(
        "# The command line\n\nWhat `--help` prints, written from the definition that parses the command line.\n\
         What `--json` prints is in [cli-json.md](cli-json.md).\n",
    );
    for (path, mut command) in commands() {
        let help = command.render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        text.push_str(&format!("\n## `{path}`\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `CLAWKER_WRITE_EXPECTED=1` writes it anew, to be read before it is committed.
    #[test]
    fn the_reference_in_the_docs_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
        if std::env::var_os("CLAWKER_WRITE_EXPECTED").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), markdown());
    }

    #[test]
    fn each_command_has_a_manual_page_of_its_own() {
        let pages = manual().unwrap();
        assert_eq!(pages.len(), commands().len());
        let page =
            pages.iter().find(|page| page.name == std::path::Path::new("clawker-firewall-add.1")).unwrap();
        let text = String::from_utf8(page.text.clone()).unwrap();
        assert!(text.contains(".TH clawker-firewall-add 1") && text.contains("DESTINATION"), "{text}");
    }
}
