//! Each move between the states, on a fence that can be made to fail.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use clawker_protocol::enforcement::Enforcement;
use clawker_protocol::event::{Count, RefusalClass};

use super::*;

#[derive(Default, Clone)]
struct Recorder {
    calls: Rc<RefCell<Vec<String>>>,
    fence_fails: Rc<Cell<bool>>,
    resolver_fails: Rc<Cell<bool>>,
    next_end: Rc<Cell<Option<Duration>>>,
}

impl Recorder {
    fn fence(&self, call: String) -> Result<(), FenceError> {
        if self.fence_fails.get() {
            return Err(FenceError("Kernel said no".into()));
        }
        self.calls.borrow_mut().push(call);
        Ok(())
    }
    fn last(&self) -> String {
        self.calls.borrow().last().cloned().unwrap_or_default()
    }
}

impl Fence for Recorder {
    fn set_opening(&mut self, opening: Opening) -> Result<(), FenceError> {
        self.fence(format!("{opening:?}"))
    }
    fn swap(&mut self, policy: &Policy) -> Result<(), FenceError> {
        self.fence(format!("swap {}", generation(policy)))
    }
    fn next_end(&self) -> Option<Duration> {
        self.next_end.get()
    }
    fn end_due(&mut self) -> Result<Vec<Service>, FenceError> {
        self.fence("end".into())?;
        self.next_end.set(None);
        Ok(vec![Service { address: Ipv4Addr::new(198, 18, 0, 5), port: 22, listener: 1, expires: Some(1) }])
    }
    fn refused(&mut self) -> Result<BTreeMap<RefusalClass, Count>, FenceError> {
        Ok(BTreeMap::new())
    }
}

impl Resolver for Recorder {
    fn point(&self, opening: Opening, _coredns: Ipv4Addr) -> Result<(), String> {
        if self.resolver_fails.get() && opening != Opening::Closed {
            return Err("can't write resolv.conf".into());
        }
        Ok(())
    }
}

fn generation(policy: &Policy) -> u64 {
    match policy {
        Policy::Agent(enforcement) => enforcement.generation,
        Policy::Gateway(_) => 0,
    }
}

fn enforcement(generation: u64) -> Policy {
    Policy::Agent(Enforcement {
        generation,
        envoy: Ipv4Addr::new(172, 20, 0, 2),
        coredns: Ipv4Addr::new(172, 20, 0, 3),
        dns_port: 5301,
        open_dns_port: 5300,
        services: vec![],
        port_routes: vec![],
        direct: vec![],
        published: vec![],
    })
}

fn machine() -> (Machine<Recorder, Recorder>, Recorder) {
    let recorder = Recorder::default();
    let machine =
        Machine::new(recorder.clone(), recorder.clone(), enforcement(5), BootState::Enforcing, 3600);
    (machine, recorder)
}

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_bypass_ends_at_its_deadline_and_not_before() {
    let (mut machine, recorder) = machine();
    machine.bypass(at(100), 30).unwrap();
    assert_eq!((machine.state(), machine.deadline()), (StateName::Bypass, Some(at(130))));
    assert_eq!(machine.tick(at(129)).unwrap(), None);
    assert_eq!(machine.tick(at(130)).unwrap().unwrap().cause, "deadline");
    assert_eq!((machine.state(), machine.deadline()), (StateName::Enforcing, None));
    assert_eq!(recorder.last(), "Closed");
}

#[test]
fn a_second_bypass_replaces_the_first() {
    let (mut machine, _) = machine();
    machine.bypass(at(100), 30).unwrap();
    machine.bypass(at(110), 5).unwrap();
    assert_eq!(machine.deadline(), Some(at(115)));
}

#[test]
fn disable_during_a_bypass_has_no_deadline_and_stop_does_not_end_it() {
    let (mut machine, _) = machine();
    machine.bypass(at(100), 30).unwrap();
    machine.disable(at(101)).unwrap();
    assert_eq!(machine.deadline(), None);
    assert_eq!(machine.bypass_stop(at(102)).unwrap_err().code, ErrorCode::NotInBypass);
    assert_eq!(machine.state(), StateName::Disabled);
    machine.enable(at(103), "enable").unwrap();
    assert_eq!(machine.state(), StateName::Enforcing);
}

#[test]
fn lengths_out_of_bounds_change_nothing() {
    let (mut machine, recorder) = machine();
    for seconds in [0, 3601, u64::MAX] {
        assert_eq!(machine.bypass(at(1), seconds).unwrap_err().code, ErrorCode::OutOfRange);
    }
    assert_eq!(machine.state(), StateName::Enforcing);
    assert!(recorder.calls.borrow().is_empty());
}

#[test]
fn when_the_resolver_can_t_be_pointed_the_fence_shuts_again() {
    let (mut machine, recorder) = machine();
    recorder.resolver_fails.set(true);
    assert_eq!(machine.disable(at(1)).unwrap_err().code, ErrorCode::Failed);
    assert_eq!(machine.state(), StateName::Enforcing);
    assert_eq!(recorder.last(), "Closed");
}

#[test]
fn a_close_that_the_kernel_refuses_is_tried_again_until_it_obeys() {
    let (mut machine, recorder) = machine();
    machine.disable(at(1)).unwrap();
    recorder.fence_fails.set(true);
    assert!(machine.enable(at(2), "enable").is_err());
    assert_eq!((machine.state(), machine.deadline()), (StateName::Disabled, Some(at(3))));
    assert!(machine.tick(at(3)).is_err());
    recorder.fence_fails.set(false);
    machine.tick(at(4)).unwrap().unwrap();
    assert_eq!(machine.state(), StateName::Enforcing);
}

#[test]
fn a_policy_that_the_kernel_refuses_leaves_the_old_one() {
    let (mut machine, recorder) = machine();
    machine.swap(enforcement(6)).unwrap();
    assert_eq!(recorder.last(), "swap 6");
    recorder.fence_fails.set(true);
    assert!(machine.swap(enforcement(7)).is_err());
    assert_eq!(generation(machine.policy()), 6);
    recorder.fence_fails.set(false);
    // A policy of the agent's own has a count of its own.
    machine.swap(enforcement(2)).unwrap();
    assert_eq!(generation(machine.policy()), 2);
}

#[test]
fn a_service_ends_on_time_and_is_tried_again_where_the_kernel_refuses() {
    let (mut machine, recorder) = machine();
    assert_eq!((machine.next_end(), machine.end_services(at(1)).unwrap()), (None, vec![]));
    recorder.next_end.set(Some(at(10)));
    assert_eq!(machine.end_services(at(9)).unwrap(), []);
    recorder.fence_fails.set(true);
    assert!(machine.end_services(at(10)).is_err());
    assert_eq!(machine.next_end(), Some(at(11)), "a loop that never sleeps");
    recorder.fence_fails.set(false);
    assert_eq!(machine.end_services(at(10)).unwrap(), []);
    assert_eq!(machine.end_services(at(11)).unwrap().len(), 1);
    assert_eq!((machine.next_end(), machine.state()), (None, StateName::Enforcing));
    assert_eq!(recorder.last(), "end");
}
