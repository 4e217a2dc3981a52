import API

/// How a client on this machine reaches the API.
struct LocalAPIAddress: Sendable, Equatable {
    /// The base URL; for a Unix socket with a host name that stands for it.
    let url: String
    /// Options that curl needs in addition to the URL.
    let curlOptions: String

    /// `port` is the one that is bound. A wildcard address is reached by its loopback address.
    init(_ address: APIConfiguration.Address, certificateFile: String?, port: Int) {
        let scheme = certificateFile == nil ? "http" : "https"
        let trust = certificateFile.map { " --cacert \($0)" } ?? ""
        switch address {
        case .unix(let path):
            self.url = "\(scheme)://localhost"
            self.curlOptions = " --unix-socket \(path)\(trust)"
        case .tcp(let host, _):
            let reachable = host == "0.0.0.0" ? "127.0.0.1" : host == "::" ? "::1" : host
            self.url = "\(scheme)://\(reachable.contains(":") ? "[\(reachable)]" : reachable):\(port)"
            self.curlOptions = trust
        }
    }

    /// The command that gets this path, for bash. The key is not among curl's arguments, which all users can see.
    func curl(path: String, key: String) -> String {
        "curl -sH @<(printf 'Authorization: Bearer %s' \(key))\(self.curlOptions) \(self.url)\(path)"
    }
}
