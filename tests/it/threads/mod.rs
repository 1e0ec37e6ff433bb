//! Threads, temporary folders, tokio.

mod clock;
mod mesh;
mod storage_contract;
<<<<<<< HEAD
mod cluster_local;
=======
mod storage_fjall;
mod storage_folder;
mod storage_interrupted;
>>>>>>> c3f9e946ecffecdcea0aff02652e83304719ab54
