//! `raft-tui certs`: a CA for development, and a certificate for each node.
//!
//! Renewed are dates only: keys and names stay, that of the CA too. So old and new certificates believe each other, and
//! it does not matter which of them is where while they are handed out.
//!
//! Kept true: no key is overwritten, and a certificate only by its own renewal; keys can be read by their owner only.
//! Not here: who believes which certificate (`transport/tls.rs`).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber, date_time_ymd,
};

use super::Exit;
use crate::raft::NodeId;
use crate::transport::tls::{self, DOMAIN};

/// How long certificates are good, counted from the end of this year.
const YEARS: i32 = 3;

const THERE_ALREADY: &str = "it is there already; choose another --out, or --renew what is there";

/// What certificates are wanted.
#[derive(Clone, Debug, Args)]
pub struct CertsArguments {
    /// Where they go; made when it is not there
    #[arg(long, short = 'o', value_name = "DIR")]
    pub out: PathBuf,

    /// How many nodes the cluster has: n1 and so on
    #[arg(long, short = 'n', value_name = "1..25", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=25))]
    pub nodes: u64,

    /// Sign all certificates in the folder anew, for later dates; keys stay as they are
    #[arg(long, conflicts_with = "nodes")]
    pub renew: bool,
}

fn is_node(name: &str) -> bool {
    name.parse::<NodeId>().is_ok_and(|node| node.to_string() == name)
}

/// Makes the files and says what each is for.
pub fn run(arguments: &CertsArguments, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if arguments.renew {
        return renew(&arguments.out, out);
    }
    let folder = &arguments.out;
    let nodes: Vec<_> = (1..=arguments.nodes).map(NodeId).collect();
    let mut names = vec!["ca".to_owned()];
    names.extend(nodes.iter().map(ToString::to_string));
    // Looked at before anything is made: half a set beside half of another would be of no use.
    for name in &names {
        for file in [pem(folder, name), key(folder, name)] {
            if file.symlink_metadata().is_ok() {
                let why = io::Error::new(io::ErrorKind::AlreadyExists, THERE_ALREADY);
                return Err(why).with_context(|| format!("making {}", file.display()));
            }
        }
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("making {}", folder.display()))?;

    let (ca, issuer) = authority(KeyPair::generate()?)?;
    write(&key(folder, "ca"), 0o600, &issuer.key().serialize_pem())?;
    write(&pem(folder, "ca"), 0o644, &ca)?;
    for name in names.iter().filter(|name| *name != "ca") {
        let own = KeyPair::generate()?;
        let certificate = signed(name, &own, &issuer)?;
        write(&key(folder, name), 0o600, &own.serialize_pem())?;
        write(&pem(folder, name), 0o644, &certificate)?;
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
    Ok(Exit::Fine)
}

/// Signs what is in the folder anew. All is made before anything is replaced.
fn renew(folder: &Path, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let own_key = |name: &str| {
        let file = key(folder, name);
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        KeyPair::from_pem(&text).with_context(|| format!("{} holds no key of `raft-tui certs`", file.display()))
    };
    let ca_file = pem(folder, "ca");
    let believed = fs::read(&ca_file).with_context(|| format!("reading {}", ca_file.display()))?;
    let (ca, issuer) = authority(own_key("ca")?)?;
    let mut renewed = Vec::new();
    for name in names(folder)? {
        let certificate = signed(&name, &own_key(&name)?, &issuer)?;
        // What was signed for another CA would be of no use to those who believe this one.
        tls::is_signed_by(&certificate, &believed)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
            .with_context(|| {
                let file = ca_file.display();
                format!("{file} was not made by `raft-tui certs` with the key beside it; renew by what made it")
            })?;
        renewed.push((name, certificate));
    }
    // The CA comes last: should this be interrupted, what was believed before still is.
    renewed.push(("ca".to_owned(), ca));
    for (name, certificate) in &renewed {
        replace(&pem(folder, name), certificate)?;
    }
    writeln!(out, "In {}, now good until {}, with the keys as they were:", folder.display(), last_year())?;
    let files: Vec<_> = renewed.iter().map(|(name, _)| format!("{name}.pem")).collect();
    writeln!(out, "  {}", files.join(" "))?;
    writeln!(out, "  Put each where it is used; running nodes take it up within seconds.")?;
    Ok(Exit::Fine)
}

/// Whose certificates are in a folder, without the CA's.
fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let reading = || format!("reading {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(reading)? {
        let file = entry.with_context(reading)?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(".pem")).filter(|name| *name != "ca");
        names.extend(name.filter(|name| is_node(name)).map(String::from));
    }
    names.sort();
    Ok(names)
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
    // No two certificates of a CA have the same number, nor does one that is renewed keep it.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    params.serial_number = Some(SerialNumber::from_slice(&now.as_nanos().to_be_bytes()));
    Ok(params)
}

/// Certificates are good until this year begins.
fn last_year() -> i32 {
    const SECONDS_A_YEAR: u64 = 31_556_952;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / SECONDS_A_YEAR;
    i32::try_from(since_1970).unwrap_or_default() + 1_970 + YEARS
}

/// A CA: its certificate, and what signs in its name.
fn authority(key: KeyPair) -> anyhow::Result<(String, Issuer<'static, KeyPair>)> {
    let mut params = parameters("raft-tui development CA", Vec::new())?;
    // It signs nodes, no other CA.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?.pem();
    Ok((certificate, Issuer::new(params, key)))
}

/// The certificate of a node.
fn signed(name: &str, own: &KeyPair, issuer: &Issuer<'_, KeyPair>) -> anyhow::Result<String> {
    let mut params = parameters(name, vec![format!("{name}.{DOMAIN}")])?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params.signed_by(own, issuer)?.pem())
}

/// Written beside and renamed: a node that reads the file meanwhile finds the old or the new.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("pem.new");
    // What an interrupted renewal has left.
    let _ = fs::remove_file(&beside);
    write(&beside, 0o644, text)?;
    fs::rename(&beside, path).with_context(|| format!("replacing {}", path.display()))?;
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("syncing {}", folder.display()))
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
