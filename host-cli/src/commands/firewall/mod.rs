//! `clawker firewall …`. The toggles speak to one agent's init and to nothing else: no Docker, no runtime.

pub mod add;
pub mod bypass;
mod change;
pub mod down;
pub mod learn;
pub mod list;
pub mod log;
pub mod reload;
pub mod remove;
pub mod rotate_ca;
pub mod status;
pub mod toggle;
pub mod up;
pub mod why;

use clawker_protocol::control::Op;

use crate::cli::Firewall;
use crate::commands::block_on;
use crate::context::Context;
use crate::exit::Outcome;

/// Does one of them.
///
/// # Errors
/// What to tell the user.
pub fn dispatch(ctx: &Context, command: Firewall) -> Outcome {
    match command {
        Firewall::Enable(args) => toggle::run(ctx, &args, Op::Enable),
        Firewall::Disable(args) => toggle::run(ctx, &args, Op::Disable),
        Firewall::Bypass(args) => bypass::run(ctx, &args),
        Firewall::Up(args) => block_on(up::run(ctx, &args)),
        Firewall::Down(args) => block_on(down::run(ctx, &args)),
        Firewall::Status(args) => block_on(status::run(ctx, &args)),
        Firewall::List(args) => block_on(list::run(ctx, &args)),
        Firewall::Add(args) => block_on(add::run(ctx, &args)),
        Firewall::Remove(args) => block_on(remove::run(ctx, &args)),
        Firewall::Reload(args) => block_on(reload::run(ctx, &args)),
        Firewall::RotateCa(args) => block_on(rotate_ca::run(ctx, &args)),
        Firewall::Log(args) => block_on(log::run(ctx, &args)),
        Firewall::Learn(args) => block_on(learn::run(ctx, &args)),
        Firewall::Why(args) => block_on(why::run(ctx, &args)),
    }
}
