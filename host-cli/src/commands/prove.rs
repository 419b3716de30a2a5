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
    let attacks = chosen(args.only.as_deref())?;
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

fn chosen(only: Option<&str>) -> Result<Vec<&'static Attack>, Failure> {
    let fits = |attack: &&Attack| only.is_none_or(|only| only == attack.id || only == attack.family.as_str());
    let attacks: Vec<_> = catalogue::all().filter(fits).collect();
    if attacks.is_empty() {
        return Err(Failure::usage(format!(
            "No attack and no family is named {}; see clawker prove --list",
            only.unwrap_or_default()
        )));
    }
    Ok(attacks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attack_one_family_or_all() {
        assert_eq!(chosen(Some("dns-udp")).unwrap().len(), 1);
        assert!(chosen(Some("dns")).unwrap().iter().all(|attack| attack.family.as_str() == "dns"));
        assert_eq!(chosen(None).unwrap().len(), catalogue::all().count());
        assert_eq!(chosen(Some("dnss")).unwrap_err().code, crate::exit::USAGE);
    }
}
