//! `clawker-mutants [--all] [--write] [--jobs N] [PART...]`: tries faults in the rules, and demands that `clawker prove`
//! finds each that `integration/mutants.tsv` does not give a reason for. With parts, only faults whose name has one;
//! without, each rule is left out once. What the list says is tried first. `--all` tries every fault with every attack,
//! `--write` writes what it saw into the list.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;

use clawker_integration::mutants::known::{self, Known, List};
use clawker_integration::mutants::place::Place;
use clawker_integration::mutants::{Mutant, Said, wrong};

/// The kind of fault that every rule can have.
const LEFT_OUT: &str = "/drop";
/// Any attack: a need is tried in every run.
const ANY: &str = "dns-udp";

#[derive(Debug, Default)]
struct Wanted {
    all: bool,
    write: bool,
    jobs: usize,
    parts: Vec<String>,
}

fn main() -> ExitCode {
    match wanted().and_then(|wanted| run(&wanted)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(wrong) => {
            eprintln!("mutants: {wrong} are not as the list has them");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::from(2)
        }
    }
}

fn wanted() -> Result<Wanted, Box<dyn Error>> {
    let mut wanted = Wanted { jobs: 1, ..Wanted::default() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--all" => wanted.all = true,
            "--write" => wanted.write = true,
            "--jobs" => wanted.jobs = words.next().ok_or("--jobs needs a number")?.parse()?,
            part => wanted.parts.push(part.to_owned()),
        }
    }
    Ok(wanted)
}

fn run(wanted: &Wanted) -> Result<usize, Box<dyn Error>> {
    let list = known::read().or_else(|error| if wanted.write { Ok(List::new()) } else { Err(error) })?;
    eprintln!("mutants: the rules without a fault");
    let mutants = Place::new(0)?.mutants()?;
    let gone: Vec<_> = list.keys().filter(|id| !mutants.iter().any(|mutant| mutant.id == **id)).collect();
    let chosen = |mutant: &Mutant| {
        let named = || wanted.parts.iter().any(|part| mutant.id.contains(part.as_str()));
        if wanted.parts.is_empty() { wanted.all || mutant.id.ends_with(LEFT_OUT) } else { named() }
    };
    let queue: VecDeque<Mutant> = mutants.iter().filter(|mutant| chosen(mutant)).cloned().collect();
    let total = queue.len();
    let (list, queue, done) = (&list, &Mutex::new(queue), &Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let jobs: Vec<_> = (1..=wanted.jobs.max(1))
            .map(|number| scope.spawn(move || work(number, wanted, list, queue, done)))
            .collect();
        jobs.into_iter()
            .try_for_each(|job| job.join().unwrap_or_else(|_| Err(io::Error::other("A job came to no end"))))
    })?;
    let done: Vec<_> = std::mem::take(&mut *done.lock().unwrap_or_else(PoisonError::into_inner));
    let bad = done.iter().filter(|(mutant, said)| wrong(said, list.get(&mutant.id)).is_some()).count();
    println!(
        "{} faults, {} found, {bad} not as listed",
        total,
        done.iter().filter(|(_, said)| *said != Said::Held).count()
    );
    if wanted.write {
        let mut list = list.clone();
        list.retain(|id, _| mutants.iter().any(|mutant| mutant.id == *id));
        known::write(&done, &list)?;
        return Ok(0);
    }
    for id in &gone {
        println!("{id}\tlisted, and there is no such rule");
    }
    Ok(bad + gone.len())
}

fn work(
    number: usize,
    wanted: &Wanted,
    list: &List,
    queue: &Mutex<VecDeque<Mutant>>,
    done: &Mutex<Vec<(Mutant, Said)>>,
) -> io::Result<()> {
    let place = Place::new(number)?;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(mutant) = next else { return Ok(()) };
        let known = list.get(&mutant.id).filter(|_| !wanted.all);
        let said = tried(&place, &mutant, known)?;
        let note = wrong(&said, list.get(&mutant.id)).filter(|_| !wanted.write);
        let mark = if note.is_some() { "WRONG" } else { "ok" };
        println!("{mark}\t{}\t{}\t{}", mutant.id, note.unwrap_or_else(|| said.words()), mutant.text);
        done.lock().unwrap_or_else(PoisonError::into_inner).push((mutant, said));
    }
}

/// What is known to find it is tried first, else a need, which is quick; then all attacks.
fn tried(place: &Place, mutant: &Mutant, known: Option<&Known>) -> io::Result<Said> {
    let attacks = known.map(Known::attacks).unwrap_or_default();
    let first = if attacks.is_empty() { vec![ANY] } else { attacks };
    let said = place.prove(&mutant.id, &first)?;
    if said == Said::Held { place.prove(&mutant.id, &[]) } else { Ok(said) }
}
