//! TLS 1.3 over a wire, with one CA for a cluster: mutual between nodes, the node's side only for consoles that wish so.
//!
//! A certificate is believed when the CA of the cluster signed it. Whose it is says its DNS name: `n3.raft-tui` is node
//! 3's. Names of hosts are not looked at: a node may move, and its id is what is at stake.
//!
//! What was read can be renewed while it is in use: connections made from then on use the new, those that are there go on.
//!
//! Kept true: nothing older than TLS 1.3; no key is ever shown; a certificate is in use with its own key only.
//! Not here: making certificates (`cli/certs.rs`), when files are read again (`renewal.rs`), comparing a name with a
//! handshake (`tcp/`).

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, PeerMisbehaved, RootCertStore,
    ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use xxhash_rust::xxh3::xxh3_128;

use super::expiry::Ends;
use super::net::Wire;
use crate::raft::NodeId;

/// What follows a node's name in the DNS name of its certificate.
pub const DOMAIN: &str = "raft-tui";

/// What is asked for in the greeting of TLS; it is neither sent nor compared.
const NOBODY: &str = "node.raft-tui";

/// Why certificates and keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("reading {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("{path} holds no {wanted} in PEM form: {why}; `raft-tui certs` makes some for development")]
    Pem {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A key that others may read.
    #[error("{path} can be read by others than its owner: `chmod 600` it, or make a new key")]
    Open {
        /// Which.
        path: PathBuf,
    },
    /// The parts do not fit together.
    #[error("{cert} with {key}: {why}; name a certificate and the key that belongs to it")]
    Unfit {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Nobody would believe it.
    #[error("{cert} is not good under {ca}: {why}; it must be signed by a CA in that file")]
    Unsigned {
        /// The certificate.
        cert: PathBuf,
        /// The certificates of those who may sign.
        ca: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is somebody else's.
    #[error("{cert} is not the certificate of {node}: give each node the one made for it")]
    Another {
        /// The certificate.
        cert: PathBuf,
        /// Whose it should be.
        node: NodeId,
    },
}

impl TlsError {
    /// Whether a key may be known to others.
    #[must_use]
    pub const fn is_open_key(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

/// Whose certificate the other side has shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerName {
    certificate: CertificateDer<'static>,
}

impl PeerName {
    /// Whether it is that of this node.
    #[must_use]
    pub fn is(&self, node: NodeId) -> bool {
        let Ok(name) = ServerName::try_from(format!("{node}.{DOMAIN}")) else { return false };
        ParsedCertificate::try_from(&self.certificate)
            .is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
    }
}

impl fmt::Debug for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerName(a certificate of {} bytes)", self.certificate.len())
    }
}

/// Why a certificate was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// That of the other side, by us: what is wrong with it, and what to do.
    OfTheirs(&'static str),
    /// Ours, by the other side: the same.
    OfOurs(&'static str),
}

impl Distrust {
    /// What an error says about certificates, if it is about them.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(wrong) => Some(Self::OfTheirs(match wrong {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired: renew it there",
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    "is not valid yet: look at the clocks of both machines"
                }
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    "is not signed by the CA that is believed here: check --tls-ca here, and the certificate there"
                }
                _ => "is not good: make a new one for that node",
            })),
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateExpired => Some(Self::OfOurs("it has expired: renew it")),
                AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                    Some(Self::OfOurs("it is not signed by the CA that is believed there: check --tls-ca there"))
                }
                AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
                    Some(Self::OfOurs("it is not good there: give this node the one made for it"))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// The CA of a cluster and, for nodes, a certificate of their own.
pub struct Tls {
    files: Files,
    in_force: RwLock<Arc<Material>>,
}

enum Files {
    Node(NodeFiles),
    /// Of a CA alone.
    Console(PathBuf),
}

struct NodeFiles {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

/// All that was read together.
struct Material {
    connector: TlsConnector,
    doors: Option<Doors>,
    own: Option<Own>,
}

struct Doors {
    peers: TlsAcceptor,
    consoles: TlsAcceptor,
}

struct Own {
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    ca_ends: Option<Ends>,
    cert_ends: Option<Ends>,
    /// Of what the files held.
    digests: [u128; 3],
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.files {
            Files::Node(_) => "Tls(with a certificate)",
            Files::Console(_) => "Tls(trusting)",
        })
    }
}

impl Tls {
    /// Reads the CA's certificate, one's own certificate (with those between it and the CA, if any) and its key.
    pub fn load(ca: &Path, cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = NodeFiles { ca: ca.to_owned(), cert: cert.to_owned(), key: key.to_owned() };
        let material = files.read()?.understood(&files)?;
        Ok(Self { files: Files::Node(files), in_force: RwLock::new(Arc::new(material)) })
    }

    /// Reads the CA's certificate only, for consoles without a certificate: such can connect, and nothing else.
    pub fn trusting(ca: &Path) -> Result<Self, TlsError> {
        let material = Material::trusting(ca)?;
        Ok(Self { files: Files::Console(ca.to_owned()), in_force: RwLock::new(Arc::new(material)) })
    }

    /// Reads the file of a console again, which may hold another CA by now. One that is no good changes nothing.
    pub fn trust_anew(&self) {
        if let Files::Console(ca) = &self.files
            && let Ok(material) = Material::trusting(ca)
        {
            self.put_in_force(material);
        }
    }

    /// Reads the files of a node again, and uses what is in them from now on if that is something else than before, and
    /// others would believe it. An error changes nothing.
    pub fn renew(&self, node: NodeId) -> Result<bool, TlsError> {
        let Files::Node(files) = &self.files else { return Ok(false) };
        let found = files.read()?;
        if self.material().own.as_ref().is_some_and(|own| own.digests == found.digests()) {
            return Ok(false);
        }
        let material = found.understood(files)?;
        if let Some(own) = &material.own {
            own.check(files, node)?;
        }
        self.put_in_force(material);
        Ok(true)
    }

    /// What is to be said of certificates that end soon or have ended.
    #[must_use]
    pub fn endings(&self, now: SystemTime) -> Vec<String> {
        let material = self.material();
        let (Files::Node(files), Some(own)) = (&self.files, &material.own) else { return Vec::new() };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let cert = "put a renewed certificate there, with its key: it is taken up without a restart";
        let ca =
            "add the certificate of a new CA to that file on all nodes, then renew the nodes' certificates with it";
        let warn = |ends: Option<Ends>, file, remedy| ends?.warning(file, now, remedy);
        warn(own.cert_ends, &files.cert, cert).into_iter().chain(warn(own.ca_ends, &files.ca, ca)).collect()
    }

    /// Takes in another node, which must have a certificate.
    pub async fn accept_peer(&self, wire: Wire) -> io::Result<(Wire, PeerName)> {
        let stream = self.material().doors()?.peers.accept(wire).await?;
        let name = name(stream.get_ref().1.peer_certificates())?;
        Ok((Box::new(stream), name))
    }

    /// Takes in a console; a certificate that it shows must be good, but it need not show one.
    pub async fn accept_console(&self, wire: Wire) -> io::Result<Wire> {
        Ok(Box::new(self.material().doors()?.consoles.accept(wire).await?))
    }

    /// Asks to be let in, and looks at the certificate of the other side.
    pub async fn connect(&self, wire: Wire) -> io::Result<(Wire, PeerName)> {
        let nobody = ServerName::try_from(NOBODY).map_err(io::Error::other)?;
        let stream = self.material().connector.connect(nobody, wire).await?;
        let name = name(stream.get_ref().1.peer_certificates())?;
        Ok((Box::new(stream), name))
    }

    fn put_in_force(&self, material: Material) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(material);
    }

    fn material(&self) -> Arc<Material> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Material {
    fn trusting(ca: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let client = client(&provider, Arc::new(roots(ca, &certificates(ca, &read(ca)?)?)?));
        let client = client.map_err(|error| no_certificate(ca, &error))?.with_no_client_auth();
        Ok(Self { connector: connector(client), doors: None, own: None })
    }

    fn doors(&self) -> io::Result<&Doors> {
        self.doors.as_ref().ok_or_else(|| io::Error::other("without a certificate nobody can be let in"))
    }
}

impl Own {
    /// Whether another node would believe it to be `node`'s.
    fn check(&self, files: &NodeFiles, node: NodeId) -> Result<(), TlsError> {
        let unsigned = |why: &dyn fmt::Display| TlsError::Unsigned {
            cert: files.cert.clone(),
            ca: files.ca.clone(),
            why: why.to_string(),
        };
        let (first, between) = self.chain.split_first().ok_or_else(|| unsigned(&"there is no certificate in it"))?;
        let all = crypto::ring::default_provider().signature_verification_algorithms.all;
        ParsedCertificate::try_from(first)
            .and_then(|first| {
                verify_server_cert_signed_by_trust_anchor(&first, &self.roots, between, UnixTime::now(), all)
            })
            .map_err(|error| unsigned(&error))?;
        if (PeerName { certificate: first.clone() }).is(node) {
            Ok(())
        } else {
            Err(TlsError::Another { cert: files.cert.clone(), node })
        }
    }
}

impl NodeFiles {
    fn read(&self) -> Result<Found, TlsError> {
        let about = fs::metadata(&self.key);
        let about = about.map_err(|source| TlsError::Read { path: self.key.clone(), source })?;
        if about.permissions().mode() & 0o077 != 0 {
            return Err(TlsError::Open { path: self.key.clone() });
        }
        Ok(Found { ca: read(&self.ca)?, cert: read(&self.cert)?, key: read(&self.key)? })
    }
}

/// What the files hold.
struct Found {
    ca: Vec<u8>,
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Found {
    fn digests(&self) -> [u128; 3] {
        [&self.ca, &self.cert, &self.key].map(|bytes| xxh3_128(bytes))
    }

    fn understood(&self, files: &NodeFiles) -> Result<Material, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let believed = certificates(&files.ca, &self.ca)?;
        let roots = Arc::new(roots(&files.ca, &believed)?);
        let chain = certificates(&files.cert, &self.cert)?;
        let own_key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::Pem {
            path: files.key.clone(),
            wanted: KEY,
            why: error.to_string(),
        })?;
        let unfit = |why: &dyn fmt::Display| TlsError::Unfit {
            cert: files.cert.clone(),
            key: files.key.clone(),
            why: why.to_string(),
        };
        let verifier = || WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let must = verifier().build().map_err(|error| unfit(&error))?;
        let may = verifier().allow_unauthenticated().build().map_err(|error| unfit(&error))?;
        let door = |verifier| {
            let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .and_then(|builder| {
                    builder.with_client_cert_verifier(verifier).with_single_cert(chain.clone(), own_key.clone_key())
                })
                .map_err(|error| unfit(&error))?;
            // Who was trusted once is looked at again each time.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            Ok(TlsAcceptor::from(Arc::new(config)))
        };
        let client = client(&provider, Arc::clone(&roots))
            .map_err(|error| unfit(&error))?
            .with_client_auth_cert(chain.clone(), own_key.clone_key())
            .map_err(|error| unfit(&error))?;
        let doors = Doors { peers: door(must)?, consoles: door(may)? };
        let ends = |certificate: &CertificateDer<'_>| Ends::of(certificate);
        let own = Own {
            // While one CA follows another both are in the file: the later one counts.
            ca_ends: believed.iter().filter_map(ends).max(),
            cert_ends: chain.iter().filter_map(ends).min(),
            roots,
            chain,
            digests: self.digests(),
        };
        Ok(Material { connector: connector(client), doors: Some(doors), own: Some(own) })
    }
}

/// Whether somebody who believes the one certificate (of a CA) believes the other (of a node or a console) today; both
/// in PEM form.
pub fn is_signed_by(certificate: &str, ca: &[u8]) -> Result<(), String> {
    let nowhere = Path::new("");
    let judged = || {
        let roots = roots(nowhere, &certificates(nowhere, ca)?)?;
        let chain = certificates(nowhere, certificate.as_bytes())?;
        Ok::<_, TlsError>((roots, chain))
    };
    let (roots, chain) = judged().map_err(|error| error.to_string())?;
    let (first, between) = chain.split_first().ok_or("there is none")?;
    let provider = Arc::new(crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())?
        .verify_client_cert(first, between, UnixTime::now())
        .map_or_else(|error| Err(error.to_string()), |_| Ok(()))
}

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn no_certificate(path: &Path, why: &dyn fmt::Display) -> TlsError {
    TlsError::Pem { path: path.to_owned(), wanted: CERTIFICATE, why: why.to_string() }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| no_certificate(path, &error))?;
    if found.is_empty() { Err(no_certificate(path, &"there is none in it")) } else { Ok(found) }
}

fn roots(path: &Path, certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| no_certificate(path, &error))?;
    }
    Ok(roots)
}

fn name(shown: Option<&[CertificateDer<'static>]>) -> io::Result<PeerName> {
    let first = shown.and_then(<[_]>::first).ok_or_else(|| io::Error::other("no certificate was shown"))?;
    Ok(PeerName { certificate: first.clone() })
}

type Client = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn client(provider: &Arc<CryptoProvider>, roots: Arc<RootCertStore>) -> Result<Client, rustls::Error> {
    let judge = Arc::new(SignedByCa { roots, algorithms: provider.signature_verification_algorithms });
    Ok(ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(judge))
}

fn connector(mut config: ClientConfig) -> TlsConnector {
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

/// Believes what the CA signed, whatever it is called.
#[derive(Debug)]
struct SignedByCa {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for SignedByCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, self.algorithms.all)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
