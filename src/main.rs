//! Parse, run, exit code.

fn main() -> std::process::ExitCode {
    raft_tui::cli::main(std::env::args_os()).into()
}
