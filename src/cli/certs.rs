//! `raft-tui certs`: a CA for development, and a certificate for each node and console.
//!
//! Kept true: nothing is overwritten; keys can be read by their owner only.
//! Not here: who believes which certificate (`transport/tls.rs`).

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use super::Exit;
use crate::raft::NodeId;
use crate::transport::tls::DOMAIN;

/// How long certificates are good, counted from the end of this year.
const YEARS: i32 = 3;

/// What certificates are wanted.
#[derive(Clone, Debug, Args)]
pub struct CertsArguments {
    /// Where they go; made when it is not there
    #[arg(long, short = 'o', value_name = "DIR")]
    pub out: PathBuf,

    /// How many nodes the cluster has: n1 and so on
    #[arg(long, short = 'n', value_name = "1..25", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=25))]
    pub nodes: u64,

    /// A console that gets a certificate too; may be given several times
    #[arg(long = "console", value_name = "NAME", value_parser = console_name)]
    pub consoles: Vec<String>,
}

/// Certificates are told apart by names that are good for DNS and for files.
fn console_name(name: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let as_node = name.parse::<NodeId>().is_ok() || name == "ca";
    if name.is_empty() || name.len() > 40 || !name.chars().all(good) || name.starts_with('-') || name.ends_with('-') {
        return Err("a name is up to 40 of a-z, 0-9 and -, and does not begin or end with -".to_owned());
    }
    if as_node { Err("that is the name of a node or of the CA".to_owned()) } else { Ok(name.to_owned()) }
}

/// Makes the files and says what each is for.
pub fn run(arguments: &CertsArguments, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let folder = &arguments.out;
    let nodes: Vec<_> = (1..=arguments.nodes).map(NodeId).collect();
    let mut names = vec!["ca".to_owned()];
    names.extend(nodes.iter().map(ToString::to_string));
    names.extend(arguments.consoles.iter().cloned());
    // Looked at before anything is made: half a set beside half of another would be of no use.
    for name in &names {
        for file in [pem(folder, name), key(folder, name)] {
            if file.symlink_metadata().is_ok() {
                let why = io::Error::new(io::ErrorKind::AlreadyExists, "it is there already; choose another --out");
                return Err(why).with_context(|| format!("making {}", file.display()));
            }
        }
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("making {}", folder.display()))?;

    let (ca, issuer) = authority()?;
    write(&key(folder, "ca"), 0o600, &issuer.key().serialize_pem())?;
    write(&pem(folder, "ca"), 0o644, &ca)?;
    let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    for node in &nodes {
        let name = node.to_string();
        signed(folder, &name, &format!("{name}.{DOMAIN}"), &both, &issuer)?;
    }
    for console in &arguments.consoles {
        let dns = format!("{console}.console.{DOMAIN}");
        signed(folder, console, &dns, &[ExtendedKeyUsagePurpose::ClientAuth], &issuer)?;
    }
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("syncing {}", folder.display()))?;

    let of_nodes = |ending: &str| match nodes.last() {
        Some(last) if *last != NodeId(1) => format!("n1.{ending} to {last}.{ending}"),
        Some(_) | None => format!("n1.{ending}"),
    };
    writeln!(out, "In {}, for development only, good until {}:", folder.display(), last_year())?;
    writeln!(out, "  ca.pem               whom to believe: every node and console gets it (--tls-ca)")?;
    writeln!(out, "  ca.key               signs certificates: keep it away from nodes, or remove it")?;
    writeln!(out, "  {:<20} who a node is: each node gets its own (--tls-cert)", of_nodes("pem"))?;
    writeln!(out, "  {:<20} the secret that goes with it (--tls-key)", of_nodes("key"))?;
    for console in &arguments.consoles {
        writeln!(out, "  {console}.pem, {console}.key   who a console is, with its secret")?;
    }
    Ok(Exit::Fine)
}

fn pem(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.pem"))
}

fn key(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.key"))
}

fn parameters(name: &str, dns: Vec<String>) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(dns)?;
    params.distinguished_name.push(DnType::OrganizationName, "raft-tui development");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_after = date_time_ymd(last_year(), 1, 1);
    Ok(params)
}

/// Certificates are good until this year begins.
fn last_year() -> i32 {
    const SECONDS_A_YEAR: u64 = 31_556_952;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / SECONDS_A_YEAR;
    i32::try_from(since_1970).unwrap_or_default() + 1_970 + YEARS
}

/// A new CA: its certificate, and what signs in its name.
fn authority() -> anyhow::Result<(String, Issuer<'static, KeyPair>)> {
    let mut params = parameters("raft-tui development CA", Vec::new())?;
    // It signs nodes and consoles, no other CA.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    Ok((certificate, Issuer::new(params, key)))
}

fn signed(
    folder: &Path,
    name: &str,
    dns: &str,
    uses: &[ExtendedKeyUsagePurpose],
    issuer: &Issuer<'_, KeyPair>,
) -> anyhow::Result<()> {
    let mut params = parameters(name, vec![dns.to_owned()])?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = uses.to_vec();
    let own = KeyPair::generate()?;
    let certificate = params.signed_by(&own, issuer)?.pem();
    write(&key(folder, name), 0o600, &own.serialize_pem())?;
    write(&pem(folder, name), 0o644, &certificate)
}

fn write(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("making {}", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("writing {}", path.display()))
}
