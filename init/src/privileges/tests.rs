//! The order of the drop, and that it stops at the first failure.

use super::*;

/// Writes down every call; can fail at one of them, or find a privilege left at the end.
#[derive(Default)]
struct Recorder {
    calls: Vec<String>,
    bounding: Vec<u32>,
    fail_at: Option<usize>,
    left_over: bool,
    bounding_stays: bool,
}

impl Recorder {
    fn note(&mut self, call: String) -> io::Result<()> {
        self.calls.push(call);
        if self.fail_at == Some(self.calls.len()) {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        Ok(())
    }
}

impl Syscalls for Recorder {
    fn bounding(&self, capability: u32) -> io::Result<bool> {
        if capability > 40 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(self.bounding.contains(&capability))
    }
    fn drop_bounding(&mut self, capability: u32) -> io::Result<()> {
        if !self.bounding_stays {
            self.bounding.retain(|held| *held != capability);
        }
        self.note(format!("bounding -{capability}"))
    }
    fn clear_ambient(&mut self) -> io::Result<()> {
        self.note("ambient".into())
    }
    fn set_securebits(&mut self, bits: u32) -> io::Result<()> {
        self.note(format!("securebits {bits:#x}"))
    }
    fn set_groups(&mut self, groups: &[u32]) -> io::Result<()> {
        self.note(format!("groups {groups:?}"))
    }
    fn set_gid(&mut self, gid: u32) -> io::Result<()> {
        self.note(format!("gid {gid}"))
    }
    fn set_uid(&mut self, uid: u32) -> io::Result<()> {
        self.note(format!("uid {uid}"))
    }
    fn set_capabilities(&mut self, sets: Capabilities) -> io::Result<()> {
        assert_eq!(sets, Capabilities::default());
        self.note("capabilities none".into())
    }
    fn set_no_new_privs(&mut self) -> io::Result<()> {
        self.note("no_new_privs".into())
    }
    fn set_filter(&mut self, program: &[seccomp::Instruction]) -> io::Result<()> {
        assert!(!program.is_empty());
        self.note("filter".into())
    }
    fn is_dropped(&self, _identity: &Identity) -> io::Result<bool> {
        Ok(!self.left_over)
    }
}

const ORDER: [&str; 10] = [
    "bounding -0",
    "bounding -12",
    "ambient",
    "securebits 0xeb",
    "groups [29]",
    "gid 1002",
    "uid 1001",
    "capabilities none",
    "no_new_privs",
    "filter",
];

fn run(recorder: &mut Recorder) -> Result<(), DropError> {
    recorder.bounding = vec![0, 12];
    drop_to(
        &Identity {
            uid: 1001,
            gid: 1002,
            groups: vec![29],
            filter: seccomp::program(seccomp::Options::default()),
        },
        recorder,
    )
}

#[test]
fn no_step_comes_after_the_one_that_takes_its_right() {
    let mut recorder = Recorder::default();
    run(&mut recorder).unwrap();
    assert_eq!(recorder.calls, ORDER);
}

#[test]
fn the_first_failure_ends_the_drop_and_names_its_step() {
    let steps = [
        Step::Bounding,
        Step::Bounding,
        Step::Ambient,
        Step::Securebits,
        Step::Groups,
        Step::Gid,
        Step::Uid,
        Step::Capabilities,
        Step::NoNewPrivs,
        Step::Filter,
    ];
    for (index, step) in steps.iter().enumerate() {
        let mut recorder = Recorder { fail_at: Some(index + 1), ..Recorder::default() };
        let error = run(&mut recorder).unwrap_err();
        assert_eq!(error.step, *step);
        assert_eq!(recorder.calls, ORDER.get(..=index).unwrap());
    }
}

#[test]
fn what_is_still_there_at_the_end_ends_the_drop() {
    let mut left_over = Recorder { left_over: true, ..Recorder::default() };
    assert_eq!(run(&mut left_over).unwrap_err().step, Step::ReadBack);
    let mut bounding = Recorder { bounding_stays: true, ..Recorder::default() };
    assert_eq!(run(&mut bounding).unwrap_err().step, Step::ReadBack);
}

#[test]
fn pid_1_keeps_no_more_than_it_uses() {
    assert_eq!(PID1_KEEPS, [5, 12]);
}
