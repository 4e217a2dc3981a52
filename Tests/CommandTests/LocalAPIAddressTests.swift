import API
import Testing

@testable import orchestra

@Suite("LocalAPIAddress")
struct LocalAPIAddressTests {
    @Test("the URL has the port that is bound")
    func port() {
        let address = LocalAPIAddress(.tcp(host: "127.0.0.1", port: 0), certificateFile: nil, port: 41)
        #expect(address.url == "http://127.0.0.1:41")
    }

    @Test("with a certificate the URL is https, and curl trusts the certificate")
    func tls() {
        let address = LocalAPIAddress(.tcp(host: "127.0.0.1", port: 41), certificateFile: "/c.pem", port: 41)
        #expect(address.url == "https://127.0.0.1:41")
        #expect(address.curl(path: "/p", key: "k").contains("--cacert /c.pem https://127.0.0.1:41/p"))
    }

    @Test("a wildcard address is reached over loopback", arguments: [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])
    func wildcard(host: String, reached: String) {
        #expect(LocalAPIAddress(.tcp(host: host, port: 1), certificateFile: nil, port: 1).url == "http://\(reached):1")
    }

    @Test("another address stays as it is")
    func other() {
        #expect(
            LocalAPIAddress(.tcp(host: "10.0.0.1", port: 1), certificateFile: nil, port: 1).url == "http://10.0.0.1:1")
    }

    @Test("a Unix socket is given to curl as an option")
    func unix() {
        let address = LocalAPIAddress(.unix(path: "/s"), certificateFile: nil, port: 0)
        #expect(
            address.curl(path: "/p", key: "k")
                == "curl -sH @<(printf 'Authorization: Bearer %s' k) --unix-socket /s http://localhost/p")
    }
}
