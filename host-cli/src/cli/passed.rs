//! Options of `docker run` that are passed on as they are: none of them opens the fence.

use clap::Args;

use crate::passed::{self, Gpus, Ulimit};
use crate::volume::{self, Volume};

/// What is passed on.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "As with docker run")]
pub struct PassedArgs {
    /// Mount a folder, a file or a volume: SOURCE:TARGET[:ro]
    #[arg(short, long, value_name = "MOUNT", value_parser = volume::parse)]
    pub volume: Vec<Volume>,
    /// Mount an empty folder in memory: TARGET[:OPTIONS]
    #[arg(long, value_name = "MOUNT", value_parser = passed::tmpfs)]
    pub tmpfs: Vec<(String, String)>,
    /// The folder to start in [default: the project's]
    #[arg(short, long, value_name = "DIR", value_parser = passed::workdir)]
    pub workdir: Option<String>,
    /// The container's own name for itself
    #[arg(long, value_name = "NAME", value_parser = passed::hostname)]
    pub hostname: Option<String>,
    /// A line of /etc/hosts: NAME:ADDRESS; rules name the address
    #[arg(long, value_name = "HOST", value_parser = passed::host)]
    pub add_host: Vec<String>,
    /// A label of the container: NAME=VALUE
    #[arg(short, long, value_name = "LABEL", value_parser = passed::label)]
    pub label: Vec<(String, String)>,
    /// Graphics cards: all, a number, or device=0,1
    #[arg(long, value_name = "GPUS", value_parser = passed::gpus)]
    pub gpus: Option<Gpus>,
    /// Size of /dev/shm, like 1g [default: 64m]
    #[arg(long, value_name = "SIZE", value_parser = crate::limits::size)]
    pub shm_size: Option<i64>,
    /// A limit of each process: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT", value_parser = passed::ulimit)]
    pub ulimit: Vec<Ulimit>,
}
