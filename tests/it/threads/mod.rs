//! Threads, temporary folders, tokio.

mod clock;
mod cluster_local;
mod control_client;
mod control_server;
mod headless_client;
mod headless_golden;
mod headless_load;
mod headless_status;
mod mesh;
mod plain;
mod remote;
mod storage_contract;
mod storage_fjall;
mod storage_folder;
mod storage_interrupted;
mod storage_torture;
mod telemetry;
mod transport_hostile;
mod transport_renewal;
mod transport_tcp;
mod transport_tls;
