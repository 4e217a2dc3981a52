internal import Glibc

/// Figures of this process from `/proc/self`, under the standard names of Prometheus client libraries.
enum ProcessMetrics {
    /// Prometheus text; a figure that cannot be read is left out.
    static func render() -> String {
        var text = ""
        func add(_ name: String, _ kind: String, _ help: String, _ value: Double) {
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n\(name) \(MetricsRegistry.format(value))\n"
        }
        let fields = self.statFields()
        let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        // Fields 14, 15 and 24 of proc(5), counted after the name of the command, which may contain anything.
        if fields.count > 21, let user = Double(fields[11]), let system = Double(fields[12]),
            let pages = Double(fields[21])
        {
            add("process_cpu_seconds_total", "counter", "CPU time spent.", (user + system) / ticks)
            add(
                "process_resident_memory_bytes", "gauge", "Memory in use.",
                pages * Double(sysconf(Int32(_SC_PAGESIZE))))
        }
        if let count = self.openDescriptors() { add("process_open_fds", "gauge", "Open descriptors.", Double(count)) }
        return text
    }

    private static func statFields() -> [Substring] {
        let fd = unsafe open("/proc/self/stat", O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return [] }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe read(fd, &bytes, bytes.count)
        guard count > 0 else { return [] }
        let text = String(decoding: bytes.prefix(count), as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return [] }
        return text[text.index(after: end)...].split(separator: " ")
    }

    private static func openDescriptors() -> Int? {
        guard let directory = unsafe opendir("/proc/self/fd") else { return nil }
        defer { unsafe closedir(directory) }
        var count = 0
        while unsafe readdir(directory) != nil { count += 1 }
        return max(0, count - 3)  // ".", ".." and the directory itself
    }
}
