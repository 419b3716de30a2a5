//! What could come next on a command line: subcommands, options and fixed values from the same definition that parses
//! it, agents and rules from what the host remembers. Docker is never asked: a key is pressed and an answer is wanted.

mod known;

use clap::{Arg, ArgAction, Command};

pub use known::{Known, of_host};

/// A word that could stand there, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The word.
    pub word: String,
    /// One line, may be empty.
    pub help: String,
}

/// The words that could stand in place of the last one; none where it is a file, or anybody's guess. `words` are
/// those behind `clawker`; `root` has been built.
pub fn complete(root: &Command, words: &[String], known: &Known) -> Vec<Candidate> {
    let Some((current, before)) = words.split_last() else { return Vec::new() };
    let mut at = Position { path: vec![root], arguments: 0, value_of: None, only_arguments: false };
    before.iter().for_each(|word| at.step(word));
    let (prefix, found) = at.candidates(current, known);
    let typed = current.get(prefix.len()..).unwrap_or_default();
    let fits = found.into_iter().filter(|one| one.word.starts_with(typed));
    fits.map(|one| Candidate { word: format!("{prefix}{}", one.word), ..one }).collect()
}

/// How far a command line has come.
struct Position<'a> {
    /// The command, below those that it is part of.
    path: Vec<&'a Command>,
    /// How many of its arguments are there.
    arguments: usize,
    /// The option whose value comes next.
    value_of: Option<&'a Arg>,
    /// Behind `--`.
    only_arguments: bool,
}

impl<'a> Position<'a> {
    fn command(&self) -> Option<&'a Command> {
        self.path.last().copied()
    }

    /// The options that can stand here; a definition that is built has those of the commands above, too.
    fn options(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        let own = self.command().into_iter().flat_map(Command::get_arguments);
        own.filter(|arg| !arg.is_positional())
    }

    fn step(&mut self, word: &str) {
        if self.value_of.take().is_some() {
            return;
        }
        if self.only_arguments {
            self.arguments += 1;
        } else if word == "--" {
            self.only_arguments = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let named = self.options().find(|arg| arg.get_long() == Some(long));
            self.value_of = named.filter(|arg| takes_value(arg));
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            // `-it`: the last one may want a value; one before it that does has it in the same word.
            let mut letters = letters.chars().peekable();
            while let Some(letter) = letters.next() {
                let named = self.options().find(|arg| arg.get_short() == Some(letter));
                if let Some(arg) = named.filter(|arg| takes_value(arg)) {
                    self.value_of = letters.peek().is_none().then_some(arg);
                    break;
                }
            }
        } else {
            let subcommand = self.command().and_then(|command| command.find_subcommand(word));
            match subcommand.filter(|_| self.arguments == 0) {
                Some(subcommand) => self.path.push(subcommand),
                None => self.arguments += 1,
            }
            // What follows a program's name is the program's.
            self.only_arguments |=
                self.argument().is_some_and(Arg::is_trailing_var_arg_set) && self.arguments > 0;
        }
    }

    /// The argument that comes next.
    fn argument(&self) -> Option<&'a Arg> {
        let arguments: Vec<_> = self.command()?.get_positionals().collect();
        let many = arguments.last().filter(|last| matches!(last.get_action(), ArgAction::Append));
        arguments.get(self.arguments).or(many).copied()
    }

    /// The candidates, and what stands before each of them in the same word.
    fn candidates(&self, current: &str, known: &Known) -> (String, Vec<Candidate>) {
        let named =
            || self.path.iter().skip(1).map(|command| command.get_name()).collect::<Vec<_>>().join(" ");
        if let Some(arg) = self.value_of {
            return (String::new(), values(&named(), arg, 0, known));
        }
        if let Some((option, _)) =
            current.split_once('=').filter(|_| current.starts_with("--") && !self.only_arguments)
        {
            let arg =
                self.options().find(|arg| arg.get_long().is_some_and(|long| option == format!("--{long}")));
            let found = arg.map(|arg| values(&named(), arg, 0, known)).unwrap_or_default();
            return (format!("{option}="), found);
        }
        if current.starts_with('-') && !self.only_arguments {
            return (
                String::new(),
                self.options().filter(|arg| !arg.is_hide_set()).flat_map(spellings).collect(),
            );
        }
        let subcommands = self.command().into_iter().flat_map(Command::get_subcommands);
        let subcommands =
            subcommands.filter(|one| !one.is_hide_set() && self.arguments == 0 && !self.only_arguments);
        let mut found: Vec<Candidate> = subcommands
            .map(|one| candidate(one.get_name(), one.get_about().map(ToString::to_string)))
            .collect();
        found
            .extend(self.argument().into_iter().flat_map(|arg| values(&named(), arg, self.arguments, known)));
        (String::new(), found)
    }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn candidate(word: impl Into<String>, help: Option<String>) -> Candidate {
    let help = help.unwrap_or_default();
    Candidate { word: word.into(), help: help.lines().next().unwrap_or_default().to_owned() }
}

fn spellings(arg: &Arg) -> Vec<Candidate> {
    let help = arg.get_help().map(ToString::to_string);
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    long.into_iter().chain(short).map(|word| candidate(word, help.clone())).collect()
}

/// What an option or argument can be.
fn values(command: &str, arg: &Arg, at: usize, known: &Known) -> Vec<Candidate> {
    let fixed = arg.get_possible_values();
    if !fixed.is_empty() {
        let help = |one: &clap::builder::PossibleValue| one.get_help().map(ToString::to_string);
        return fixed.iter().map(|one| candidate(one.get_name(), help(one))).collect();
    }
    match (command, arg.get_id().as_str()) {
        // A new name is anybody's guess.
        ("run", "agent") => Vec::new(),
        ("exec" | "diff" | "pull", "words") if at > 0 => Vec::new(),
        (_, "agent" | "agents" | "name" | "names") | ("exec" | "diff" | "pull", "words") => {
            known.agents.clone()
        }
        ("cp", "from" | "to") => {
            let place = |one: &Candidate| Candidate { word: format!("{}:", one.word), ..one.clone() };
            known.agents.iter().map(place).collect()
        }
        ("firewall remove", "destination") => known.added.clone(),
        ("firewall why", "destination") => known.names.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn words(line: &str) -> Vec<String> {
        let known = |words: &[&str]| words.iter().map(|word| candidate(*word, None)).collect();
        let known = Known {
            agents: known(&["dev", "api"]),
            added: known(&["added.example"]),
            names: known(&["listed.example", "added.example"]),
        };
        let line: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut root = Cli::command();
        root.build();
        complete(&root, &line, &known).into_iter().map(|one| one.word).collect()
    }

    #[test]
    fn what_can_stand_there_is_offered_and_nothing_else() {
        for (line, expected) in [
            ("fire", vec!["firewall"]),
            ("firewall by", vec!["bypass"]),
            ("firewall bypass --agent ", vec!["dev", "api"]),
            ("firewall bypass --agent=a", vec!["--agent=api"]),
            ("firewall bypass 30s --de", vec!["--detach"]),
            ("firewall add --action ", vec!["allow", "deny"]),
            ("firewall remove ", vec!["added.example"]),
            ("firewall why l", vec!["listed.example"]),
            ("stop d", vec!["dev"]),
            ("stop dev ", vec!["dev", "api"]),
            ("stop -t 5 a", vec!["api"]),
            ("stop -t ", vec![]),
            ("attach a", vec!["api"]),
            ("rename d", vec!["dev"]),
            ("rename dev ", vec![]),
            ("exec ", vec!["dev", "api"]),
            ("exec dev ", vec![]),
            ("exec dev --", vec![]),
            ("pull d", vec!["dev"]),
            ("diff dev s", vec![]),
            ("run --agent ", vec![]),
            ("run --mo", vec!["--mode"]),
            ("run -- --mo", vec![]),
            ("cp d", vec!["dev:"]),
            ("completions z", vec!["zsh"]),
            ("--js", vec!["--json"]),
            ("firewall list --js", vec!["--json"]),
            ("nonsense ", vec![]),
            ("__c", vec![]),
        ] {
            assert_eq!(words(line), expected, "{line:?}");
        }
    }

    #[test]
    fn every_command_and_option_can_be_reached() {
        let all = words("");
        assert!(
            ["run", "init", "firewall", "doctor"].iter().all(|one| all.contains(&(*one).to_owned())),
            "{all:?}"
        );
        assert!(!all.contains(&"lend".to_owned()), "hidden");
        assert!(words("run -").contains(&"--memory".to_owned()));
    }
}
