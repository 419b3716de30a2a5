//! What becomes of a change: a function of what was copied, what the host has now and what the agent has now.

use std::path::PathBuf;

use serde::Serialize;

use super::node::{Node, Tree, has_below, same};

/// A name that the agent's copy has otherwise than it began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path, from the project's folder.
    pub path: PathBuf,
    /// What was copied.
    pub base: Option<Node>,
    /// What the agent has.
    pub agent: Option<Node>,
}

/// In what way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// A file's content, or where a link leads.
    Modified,
    /// A file can be run now, or can't any more.
    Mode,
    /// It is of another sort now.
    Type,
}

impl Change {
    /// In what way.
    pub fn how(&self) -> How {
        match (&self.base, &self.agent) {
            (None, _) => How::Added,
            (_, None) => How::Deleted,
            (Some(Node::File { hash, .. }), Some(Node::File { hash: now, .. })) if hash == now => How::Mode,
            (Some(Node::File { .. }), Some(Node::File { .. }))
            | (Some(Node::Link(_)), Some(Node::Link(_))) => How::Modified,
            _ => How::Type,
        }
    }
}

/// All changes, by path. A folder is one only where nothing in it is: git has none either.
pub fn changes(base: &Tree, agent: &Tree) -> Vec<Change> {
    let gone = base.iter().filter(|(path, _)| !agent.contains_key(*path));
    let gone = gone.map(|(path, node)| (path, Some(node), None));
    let here = agent.iter().map(|(path, node)| (path, base.get(path), Some(node)));
    let differs = |(path, was, is): &(&PathBuf, Option<&Node>, Option<&Node>)| match (was, is) {
        (None, Some(Node::Folder)) => !has_below(agent, path),
        (Some(Node::Folder), None) => !has_below(base, path),
        _ => !same(*was, *is),
    };
    let change = |(path, was, is): (&PathBuf, Option<&Node>, Option<&Node>)| Change {
        path: path.clone(),
        base: was.cloned(),
        agent: is.cloned(),
    };
    let mut changes: Vec<Change> = gone.chain(here).filter(differs).map(change).collect();
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    changes
}

/// What becomes of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The agent's is written.
    Take,
    /// The host has the same already.
    Same,
    /// Both sides have changed it.
    Conflict,
}

/// Judges a change. The host's is never lost: what isn't as it was copied stays.
pub fn judge(base: Option<&Node>, host: Option<&Node>, agent: Option<&Node>) -> Verdict {
    if same(host, agent) {
        Verdict::Same
    } else if same(host, base) {
        Verdict::Take
    } else {
        Verdict::Conflict
    }
}

/// What the user wants where both sides changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// The agent's.
    pub theirs: bool,
    /// Both.
    pub beside: bool,
}

/// What comes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It comes.
    Taken,
    /// It comes over the user's own change.
    Theirs,
    /// It comes under another name.
    Beside,
    /// Both sides changed it; the user's stays.
    Conflict,
    /// It is held back.
    Held,
    /// It could not be written.
    Failed,
    /// The host has it already.
    #[serde(skip)]
    Same,
}

impl Fate {
    /// Whether something is written or deleted.
    pub fn comes(self) -> bool {
        matches!(self, Self::Taken | Self::Theirs | Self::Beside)
    }

    /// Of a change that isn't held back. A deletion, and what isn't a file or a link, is never forced.
    pub fn of(change: &Change, host: Option<&Node>, wish: Wish) -> Self {
        let is_content = |node: &Node| matches!(node, Node::File { .. } | Node::Link(_));
        let agents = change.agent.as_ref().is_some_and(is_content);
        match judge(change.base.as_ref(), host, change.agent.as_ref()) {
            Verdict::Same => Self::Same,
            Verdict::Take => Self::Taken,
            Verdict::Conflict if wish.theirs && agents && host.is_none_or(is_content) => Self::Theirs,
            Verdict::Conflict if wish.beside && agents => Self::Beside,
            Verdict::Conflict => Self::Conflict,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn file(content: u8, mode: u32) -> Node {
        Node::File { hash: [content; 32], len: u64::from(content), mode }
    }

    #[test]
    fn a_folder_counts_only_where_nothing_in_it_does() {
        let tree = |paths: &[(&str, Node)]| -> Tree {
            paths.iter().map(|(path, node)| (PathBuf::from(path), node.clone())).collect()
        };
        let base = tree(&[
            ("", Node::Folder),
            ("a", Node::Folder),
            ("a/x", file(1, 0o644)),
            ("a-b", file(1, 0o644)),
            ("empty", Node::Folder),
            ("f", file(1, 0o644)),
            ("m", file(1, 0o644)),
            ("same", file(1, 0o600)),
        ]);
        let agent = tree(&[
            ("", Node::Folder),
            ("a-b", Node::Link("x".into())),
            ("f", Node::Folder),
            ("f/y", file(2, 0o644)),
            ("m", file(1, 0o755)),
            ("new", Node::Folder),
            ("new/z", file(2, 0o644)),
            ("new-empty", Node::Folder),
            ("same", file(1, 0o644)),
        ]);
        let found: Vec<_> = changes(&base, &agent)
            .into_iter()
            .map(|one| (one.path.display().to_string(), one.how()))
            .collect();
        let expected = [
            ("a/x", How::Deleted),
            ("a-b", How::Type),
            ("empty", How::Deleted),
            ("f", How::Type),
            ("f/y", How::Added),
            ("m", How::Mode),
            ("new/z", How::Added),
            ("new-empty", How::Added),
        ];
        assert_eq!(found, expected.map(|(path, how)| (path.to_owned(), how)));
        assert!(changes(&base, &base).is_empty());
        assert!(has_below(&base, Path::new("a")) && !has_below(&base, Path::new("a-b")));
    }

    fn any_node() -> impl Strategy<Value = Option<Node>> {
        prop_oneof![
            Just(None),
            Just(Some(Node::Folder)),
            Just(Some(Node::Other)),
            (0..3_u8, prop::sample::select(vec![0o644, 0o755, 0o600])).prop_map(|(c, m)| Some(file(c, m))),
            prop::sample::select(vec!["a", "b"]).prop_map(|target| Some(Node::Link(target.into()))),
        ]
    }

    proptest! {
        #[test]
        fn what_the_user_changed_is_never_taken_over(base in any_node(), host in any_node(), agent in any_node()) {
            let (base, host, agent) = (base.as_ref(), host.as_ref(), agent.as_ref());
            let verdict = judge(base, host, agent);
            prop_assert_eq!(verdict == Verdict::Same, same(host, agent));
            if !same(host, base) {
                prop_assert_ne!(verdict, Verdict::Take);
            }
            // Where the agent alone changed it, its version comes; where nobody did, there is nothing to do.
            if same(host, base) && !same(agent, base) {
                prop_assert_eq!(verdict, Verdict::Take);
            }
            if same(host, base) && same(agent, base) {
                prop_assert_eq!(verdict, Verdict::Same);
            }
            // What can't be compared is never written over.
            if host == Some(&Node::Other) {
                prop_assert_eq!(verdict, Verdict::Conflict);
            }
        }

        #[test]
        fn only_a_file_of_the_agent_s_is_ever_forced_and_only_when_that_is_wished(
            base in any_node(), host in any_node(), agent in any_node(), theirs: bool, beside: bool,
        ) {
            let change = Change { path: "x".into(), base: base.clone(), agent: agent.clone() };
            let fate = Fate::of(&change, host.as_ref(), Wish { theirs, beside });
            let users = !same(host.as_ref(), base.as_ref()) && !same(host.as_ref(), agent.as_ref());
            let goes = matches!(fate, Fate::Taken | Fate::Theirs);
            let of_agent = matches!(agent, Some(Node::File { .. } | Node::Link(_)));
            let in_the_way = matches!(host, Some(Node::Folder | Node::Other));
            if users && goes {
                prop_assert!(theirs && of_agent && !in_the_way);
            }
            if users && !goes {
                prop_assert_eq!(fate == Fate::Beside, beside && of_agent);
            }
        }
    }
}
