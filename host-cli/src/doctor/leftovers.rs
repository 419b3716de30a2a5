//! What should not be there: of an agent only its record, only its container, only its folder, or a container that a
//! killed command never started. Looks at three lists and says what is to be done; does none of it.

use std::collections::BTreeSet;

/// A container of this user and instance with an agent's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Docker's name.
    pub name: String,
    /// The agent's id.
    pub id: String,
    /// It runs, or is paused.
    pub running: bool,
    /// It was never started.
    pub created: bool,
}

/// An agent's record, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The agent's id.
    pub id: String,
    /// `project/agent`.
    pub shown: String,
    /// A process makes it right now.
    pub under_way: bool,
}

/// Something that should not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// A record whose container is gone.
    Record(Known),
    /// A record and a container that was never started.
    HalfMade(Known, Seen),
    /// A container that no record knows.
    Container(Seen),
    /// A folder that no record knows.
    Folder(String),
}

impl Leftover {
    /// What it is, in words.
    pub fn seen(&self) -> String {
        match self {
            Self::Record(known) => format!("{} has no container any more", known.shown),
            Self::HalfMade(known, _) => format!("{} was never started: its run was killed", known.shown),
            Self::Container(seen) => format!("container {} belongs to no agent that is known", seen.name),
            Self::Folder(id) => format!("folder {id} belongs to no agent that is known"),
        }
    }

    /// The command that takes it away, where doctor does not do it by itself: nothing that runs is removed unasked.
    pub fn by_hand(&self) -> Option<String> {
        match self {
            Self::Container(seen) if seen.running => Some(format!("docker rm -f {}", seen.name)),
            _ => None,
        }
    }
}

/// Compares. What is being made right now is left out.
pub fn find(known: &[Known], seen: &[Seen], folders: &[String]) -> Vec<Leftover> {
    let ids: BTreeSet<&str> = known.iter().map(|one| one.id.as_str()).collect();
    let of_records = known.iter().filter(|one| !one.under_way).filter_map(|one| {
        match seen.iter().find(|container| container.id == one.id) {
            None => Some(Leftover::Record(one.clone())),
            Some(container) if container.created => Some(Leftover::HalfMade(one.clone(), container.clone())),
            Some(_) => None,
        }
    });
    let strays = seen.iter().filter(|one| !ids.contains(one.id.as_str())).cloned().map(Leftover::Container);
    let folders = folders.iter().filter(|id| !ids.contains(id.as_str())).cloned().map(Leftover::Folder);
    of_records.chain(strays).chain(folders).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: &str, under_way: bool) -> Known {
        Known { id: id.into(), shown: format!("p/{id}"), under_way }
    }

    fn seen(id: &str, running: bool, created: bool) -> Seen {
        Seen { name: format!("clawker.p.{id}"), id: id.into(), running, created }
    }

    #[test]
    fn what_lacks_its_other_half_is_found_and_what_is_being_made_is_left_alone() {
        let records =
            [known("well", false), known("gone", false), known("half", false), known("making", true)];
        let containers = [
            seen("well", true, false),
            seen("half", false, true),
            seen("making", false, true),
            seen("stray", true, false),
            seen("dead", false, false),
        ];
        let folders = ["well", "gone", "half", "making", "left"].map(str::to_owned);
        let found = find(&records, &containers, &folders);
        assert_eq!(
            found,
            [
                Leftover::Record(known("gone", false)),
                Leftover::HalfMade(known("half", false), seen("half", false, true)),
                Leftover::Container(seen("stray", true, false)),
                Leftover::Container(seen("dead", false, false)),
                Leftover::Folder("left".into()),
            ]
        );
        let by_hand: Vec<_> = found.iter().filter_map(Leftover::by_hand).collect();
        assert_eq!(by_hand, ["docker rm -f clawker.p.stray"], "what runs is the user's to end");
    }

    #[test]
    fn where_all_is_well_nothing_is_found() {
        assert!(find(&[known("a", false)], &[seen("a", false, false)], &["a".to_owned()]).is_empty());
    }
}
