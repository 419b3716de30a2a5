//! `clawker prove`: runs the attack catalogue against a twin of an agent, or prints it.

use clawker_prove::catalogue::{self, Attack};

use crate::cli::ProveArgs;
use crate::context::Context;
use crate::exit::{Failure, OK, Outcome};
use crate::output;
use crate::prove::{self, Wanted};

/// Runs or prints it.
///
/// # Errors
/// When there is no such attack, or no twin could be made.
pub async fn run(ctx: &Context, args: &ProveArgs) -> Outcome {
    let attacks = chosen(&args.only)?;
    if args.list {
        if ctx.output.json {
            ctx.output.value(&attacks)?;
        } else {
            output::write_stdout(catalogue::markdown().as_bytes())?;
        }
        return Ok(OK);
    }
    let wanted = Wanted { agent: args.agent.clone(), image: args.image.clone() };
    let report = prove::run(ctx, &wanted, &attacks).await?;
    if ctx.output.json {
        ctx.output.value(&report)?;
    } else {
        output::write_stdout(report.text().as_bytes())?;
    }
    Ok(report.code())
}

fn chosen(only: &[String]) -> Result<Vec<&'static Attack>, Failure> {
    let is = |attack: &Attack, name: &String| name == attack.id || name == attack.family.as_str();
    if let Some(name) = only.iter().find(|name| !catalogue::all().any(|attack| is(attack, name))) {
        return Err(Failure::usage(format!(
            "No attack and no family is named {name}; see clawker prove --list"
        )));
    }
    let wanted = |attack: &&Attack| only.is_empty() || only.iter().any(|name| is(attack, name));
    Ok(catalogue::all().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_attacks_whole_families_or_all() {
        let of = |names: &[&str]| chosen(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["dns-udp", "ip-udp", "dns-udp"]).unwrap().len(), 2);
        assert!(of(&["dns"]).unwrap().iter().all(|attack| attack.family.as_str() == "dns"));
        assert_eq!(of(&[]).unwrap().len(), catalogue::all().count());
        assert_eq!(of(&["dns", "dnss"]).unwrap_err().code, crate::exit::USAGE);
    }
}
