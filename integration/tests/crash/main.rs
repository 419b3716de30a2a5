//! A rule change whose command is killed leaves the old policy or the new one, and the next command makes everybody
//! agree on which. Killed before every effect that it has, one after the other.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod killer;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use clawker_integration::world::World;

use killer::Ended;

/// More effects than any of these commands has.
const MOST: usize = 400;

struct Crash {
    world: World,
    download: Child,
    received: usize,
    /// Whether it outlives the change: one that moves the agent to listeners of its own cuts what is open.
    stays: bool,
}

impl Crash {
    fn new(instance: &str) -> Self {
        let world = World::new(instance).unwrap();
        world.agent("dev").unwrap();
        world.must(&["firewall", "add", "keep.example"]).unwrap();
        let stream = "curl -sSN https://keep.example/stream?ms=20 >> stream.txt";
        let download = world
            .sandbox
            .command(&["exec", "--agent", "dev", "--", "sh", "-c", stream])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut crash = Self { world, download, received: 0, stays: true };
        crash.flows("at first");
        crash
    }

    /// The stream that both policies allow has gone on.
    fn flows(&mut self, when: &str) {
        let file = self.world.sandbox.project().join("stream.txt");
        let length = || fs::metadata(&file).map_or(0, |found| usize::try_from(found.len()).unwrap());
        let before = self.received;
        let more = clawker_integration::rig::wait(Duration::from_secs(10), || length() > before);
        assert!(more, "{when}: what both policies allow was cut");
        self.received = length();
    }

    fn json(&self, path: PathBuf) -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    fn jsons(&self, folder: &str) -> Vec<PathBuf> {
        let folder = self.world.state_folder().join(folder);
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
    }

    /// One question to every part: what the agent gets from names, sites and an ssh port.
    fn asked(&self) -> BTreeMap<String, bool> {
        let script = "
            yes() { \"$@\" > out.txt 2>&1 && echo yes || echo no; }
            https() { curl -sS --max-time 5 $2 https://$1/crash | grep -q 'host: '; }
            banner() { bash -c \"exec 3<> /dev/tcp/$1/22 && read -t 5 -r banner <&3\"; }
            echo keep $(yes https keep.example)
            echo never $(yes https never.example)
            echo evil $(yes https never.example '--resolve never.example:443:198.51.100.140')
            echo toggled $(yes https toggled.example)
            echo envoy $(yes https toggled.example '--resolve toggled.example:443:198.51.100.140')
            echo dns $(yes getent hosts toggled.example)
            echo ssh $(yes banner git.example)
        ";
        let said = self.world.sh("dev", script).unwrap();
        let pairs = said.out.lines().filter_map(|line| line.split_once(' '));
        let answers: BTreeMap<_, _> =
            pairs.map(|(what, verdict)| (what.to_owned(), verdict == "yes")).collect();
        assert_eq!(answers.len(), 7, "{said:?}");
        answers
    }

    fn lists(&self, name: &str) -> bool {
        self.world.must(&["firewall", "list", "--agent", "dev"]).unwrap().contains(name)
    }

    /// Nothing outside both policies passes and nothing that both allow is refused, whatever was killed when.
    fn between(&mut self, when: &str) {
        let answers = self.asked();
        assert!(answers["keep"], "{when}: {answers:?}");
        assert!(!answers["never"] && !answers["evil"], "{when}: {answers:?}");
        if self.stays {
            self.flows(when);
        }
        let pending = self.world.state_folder().join("pending.json").exists();
        for command in
            [&["firewall", "list"][..], &["firewall", "why", "keep.example"], &["firewall", "status"]]
        {
            let said = self.world.clawker(command).unwrap();
            assert_eq!(said.err.contains("was interrupted"), pending, "{when}: {command:?} {said:?}");
        }
    }

    /// State, CoreDNS, Envoy and init agree; what they agree on.
    fn agreed(&self, when: &str) -> bool {
        let listed = self.lists("toggled.example");
        let answers = self.asked();
        for what in ["toggled", "envoy", "dns"] {
            assert_eq!(answers[what], listed, "{when}: {what} of {answers:?}");
        }
        assert_eq!(answers["ssh"], self.lists("git.example"), "{when}: {answers:?}");
        assert!(answers["keep"] && !answers["never"] && !answers["evil"], "{when}: {answers:?}");
        let agent = self.jsons("agents").remove(0).with_extension("");
        let boot = self.json(agent.join("boot.json"))["enforcement"].clone();
        let plans = self.jsons("plans").into_iter().map(|path| self.json(path));
        let plan = plans.into_iter().find(|plan| plan["dns_port"] == boot["dns_port"]).unwrap();
        assert_eq!(
            (&boot["generation"], &boot["services"]),
            (&plan["generation"], &plan["services"]),
            "{when}"
        );
        let plan = &plan["generation"];
        let events = fs::read_to_string(agent.join("events.jsonl")).unwrap();
        let last = events.lines().rfind(|line| line.contains("\"event\":\"policy\"")).unwrap();
        assert!(last.contains(&format!("\"generation\":{plan}}}")), "{when}: plan {plan}, init {last}");
        let state = self.world.state_folder();
        assert!(!state.join("pending.json").exists() && !state.join("reload-due").exists(), "{when}");
        listed
    }

    /// Kills a command before its effects in turn, one each time; `mends` are the commands that come after, in turn.
    fn sweep(&mut self, undo: &[&str], command: &[&str], mends: &[&[&str]]) {
        let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut old, mut new) = (0, 0);
        let listed = |crash: &Self| (crash.lists("toggled.example"), crash.lists("git.example"));
        let start = listed(self);
        for (round, nth) in (1..MOST).step_by(step()).enumerate() {
            let ended = killer::run(&self.world.sandbox.command(command), nth).unwrap();
            let call = match ended {
                Ended::Killed(call) => call,
                Ended::Itself(code, effects) => {
                    // How often it asks until Envoy and CoreDNS have taken the change is not the same every time.
                    assert_eq!(code, 0, "{command:?}");
                    assert_ne!(listed(self), start, "it has done nothing");
                    self.agreed("at last");
                    println!(
                        "{command:?}: {effects} effects {calls:?}, {old} times the old policy, {new} the new"
                    );
                    assert!(old > 0 && new > 0, "a sweep that meets both");
                    self.world.must(undo).unwrap();
                    return;
                }
            };
            *calls.entry(call).or_default() += 1;
            let when = format!("{command:?} killed before effect {nth}, {call}");
            self.between(&when);
            let mend = mends[round % mends.len()];
            let said = self.world.clawker(mend).unwrap();
            assert_eq!(said.code, 0, "{when}: {mend:?} {said:?}");
            self.agreed(&when);
            if listed(self) == start {
                old += 1;
            } else {
                new += 1;
                self.world.must(undo).unwrap();
            }
            if mend[1] == "add" {
                self.world.must(&["firewall", "remove", mend[2]]).unwrap();
            }
        }
        panic!("{command:?} has no end");
    }
}

impl Drop for Crash {
    fn drop(&mut self) {
        let _ = self.download.kill();
        let _ = self.download.wait();
    }
}

/// At every how-many-th effect a command is killed: by default at some, and `make soak` at each.
fn step() -> usize {
    std::env::var("CLAWKER_CRASH_STEP").map_or(6, |text| text.parse().expect("CLAWKER_CRASH_STEP"))
}

const UP: &[&str] = &["firewall", "up"];
const ADD: &[&str] = &["firewall", "add", "other.example"];
const RELOAD: &[&str] = &["firewall", "reload", "--yes"];

#[test]
fn an_add_that_is_killed_anywhere_is_whole_or_nothing() {
    let mut crash = Crash::new("crasha");
    crash.sweep(
        &["firewall", "remove", "toggled.example"],
        &["firewall", "add", "toggled.example"],
        &[UP, ADD, RELOAD],
    );
}

#[test]
fn a_remove_that_is_killed_anywhere_is_whole_or_nothing() {
    let mut crash = Crash::new("crashr");
    let add: &[&str] = &["firewall", "add", "toggled.example"];
    crash.world.must(add).unwrap();
    crash.sweep(add, &["firewall", "remove", "toggled.example"], &[ADD, UP]);
}

/// The agent's first rule of its own is a policy of its own: a new port in CoreDNS, and new listeners.
#[test]
fn a_policy_that_is_born_in_a_killed_command_is_whole_or_nothing() {
    let mut crash = Crash::new("crashp");
    crash.stays = false;
    crash.sweep(
        &["firewall", "remove", "git.example", "--proto", "ssh", "--agent", "dev"],
        &["firewall", "add", "git.example", "--proto", "ssh", "--agent", "dev"],
        &[UP, ADD],
    );
}

/// `run` takes the project's file for the agents that are there as well.
#[test]
fn a_start_that_takes_a_changed_file_and_is_killed_leaves_the_others_whole() {
    let mut crash = Crash::new("crashs");
    let file = crash.world.sandbox.project().join(".clawker.yaml");
    let plain = fs::read_to_string(&file).unwrap();
    let rule = "  firewall: {add_domains: [toggled.example]}\n";
    fs::write(&file, format!("{plain}{rule}")).unwrap();
    let run = ["run", "--rm", "--yes", "--agent", "other", "--", "true"];
    for nth in (1..MOST).step_by(step()) {
        let ended = killer::run(&crash.world.sandbox.command(&run), nth).unwrap();
        let when = format!("run killed before effect {nth}, {ended:?}");
        crash.between(&when);
        crash.world.must(UP).unwrap();
        crash.agreed(&when);
        if let Ended::Itself(code, effects) = ended {
            println!("run: {effects} effects");
            assert_eq!(code, 0);
            return;
        }
        crash.world.must(&["rm", "--force", "other"]).ok();
    }
    panic!("run has no end");
}

/// Two who change rules at the same time wait for each other, and neither's is lost.
#[test]
fn two_that_add_at_once_lose_nothing() {
    let world = World::new("crash2").unwrap();
    world.agent("dev").unwrap();
    let name = |who: &str, number: u32| format!("{who}{number}.example");
    std::thread::scope(|scope| {
        for who in ["left", "right"] {
            let world = &world;
            scope.spawn(move || {
                for number in 0..12 {
                    world.must(&["firewall", "add", &name(who, number)]).unwrap();
                }
            });
        }
    });
    let list = world.must(&["firewall", "list"]).unwrap();
    let script = "for who in left right; do for n in $(seq 0 11); do getent hosts $who$n.example; done; done";
    let resolved = world.sh("dev", script).unwrap().out;
    for who in ["left", "right"] {
        for number in 0..12 {
            let name = name(who, number);
            assert!(list.contains(&name) && resolved.contains(&name), "{name} is lost");
        }
    }
    let fetched =
        world.sh("dev", "curl -sS https://left11.example/ && curl -sS https://right11.example/").unwrap();
    assert_eq!(fetched.out.matches("host: ").count(), 2, "{fetched:?}");
}
