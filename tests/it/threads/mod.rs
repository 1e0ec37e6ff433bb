//! Threads, temporary folders, tokio.

mod clock;
mod cluster_local;
mod control_client;
mod control_server;
mod mesh;
mod plain;
mod storage_contract;
mod storage_fjall;
mod storage_folder;
mod storage_interrupted;
mod storage_torture;
mod telemetry;
mod transport_hostile;
mod transport_tcp;
mod transport_tls;
