//! Who a node is, where it has no name.

use driver_tests::server::Server;
use sockjs_bus::ConnectError;
use sockjs_bus_redis::Redis;

use crate::engine;

#[tokio::test]
async fn the_default_user_has_a_password() {
    let server = Server::start_with(&engine::Server, false, |_, _| {
        ["--requirepass", "s@cret"].map(str::to_owned).into()
    });
    let address = server.address();
    assert!(Redis::options(&address).password("s@cret").connect().await.is_ok());
    assert!(Redis::connect(&server.address_of(":s%40cret@")).await.is_ok());
    for wrong in [Redis::options(&address), Redis::options(&address).password("guess")] {
        let error = wrong.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Unauthorized(_)), "{error:?}");
    }
}
