//! TLS 1.3 over a wire, with one CA for a cluster: mutual between nodes, the node's side only for consoles that wish so.
//!
//! A certificate is believed when the CA of the cluster signed it. Whose it is says its DNS name: `n3.raft-tui` is node
//! 3's. Names of hosts are not looked at: a node may move, and its id is what is at stake.
//!
//! Kept true: nothing older than TLS 1.3; no key is ever shown.
//! Not here: making certificates (`cli/certs.rs`), comparing a name with a handshake (`tcp/`).

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, PeerMisbehaved, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};

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

/// The CA of a cluster and, for nodes, a certificate of their own.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    doors: Option<Doors>,
}

#[derive(Clone)]
struct Doors {
    peers: TlsAcceptor,
    consoles: TlsAcceptor,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.doors.is_some() { "Tls(with a certificate)" } else { "Tls(trusting)" })
    }
}

impl Tls {
    /// Reads the CA's certificate, one's own certificate (with those between it and the CA, if any) and its key.
    pub fn load(ca: &Path, cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let roots = Arc::new(roots(ca)?);
        let chain = certificates(cert)?;
        let own_key = private_key(key)?;
        let unfit = |why: &dyn fmt::Display| TlsError::Unfit {
            cert: cert.to_owned(),
            key: key.to_owned(),
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
        Ok(Self { connector: connector(client), doors: Some(Doors { peers: door(must)?, consoles: door(may)? }) })
    }

    /// Reads the CA's certificate only, for consoles without a certificate: such can connect, and nothing else.
    pub fn trusting(ca: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let client = client(&provider, Arc::new(roots(ca)?)).map_err(|error| TlsError::Pem {
            path: ca.to_owned(),
            wanted: CERTIFICATE,
            why: error.to_string(),
        })?;
        let client = client.with_no_client_auth();
        Ok(Self { connector: connector(client), doors: None })
    }

    /// Takes in another node, which must have a certificate.
    pub async fn accept_peer(&self, wire: Wire) -> io::Result<(Wire, PeerName)> {
        let stream = self.doors()?.peers.accept(wire).await?;
        let name = name(stream.get_ref().1.peer_certificates())?;
        Ok((Box::new(stream), name))
    }

    /// Takes in a console; a certificate that it shows must be good, but it need not show one.
    pub async fn accept_console(&self, wire: Wire) -> io::Result<Wire> {
        Ok(Box::new(self.doors()?.consoles.accept(wire).await?))
    }

    /// Asks to be let in, and looks at the certificate of the other side.
    pub async fn connect(&self, wire: Wire) -> io::Result<(Wire, PeerName)> {
        let nobody = ServerName::try_from(NOBODY).map_err(io::Error::other)?;
        let stream = self.connector.connect(nobody, wire).await?;
        let name = name(stream.get_ref().1.peer_certificates())?;
        Ok((Box::new(stream), name))
    }

    fn doors(&self) -> io::Result<&Doors> {
        self.doors.as_ref().ok_or_else(|| io::Error::other("without a certificate nobody can be let in"))
    }
}

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem =
        |why: &dyn fmt::Display| TlsError::Pem { path: path.to_owned(), wanted: CERTIFICATE, why: why.to_string() };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.map_err(|error| pem(&error))?;
    if found.is_empty() { Err(pem(&"there is none in it")) } else { Ok(found) }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::Pem {
            path: path.to_owned(),
            wanted: CERTIFICATE,
            why: error.to_string(),
        })?;
    }
    Ok(roots)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let about = fs::metadata(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(TlsError::Open { path: path.to_owned() });
    }
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| TlsError::Pem {
        path: path.to_owned(),
        wanted: KEY,
        why: error.to_string(),
    })
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
