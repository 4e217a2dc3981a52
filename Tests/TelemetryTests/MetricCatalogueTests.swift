import Foundation
import TestSupport
import Testing

@testable import Telemetry

@Suite("MetricCatalogue")
struct MetricCatalogueTests {
    @Test("every metric in the sources is in the catalogue")
    func isComplete() throws {
        let pattern = try Regex(#"label: "(orchestra_[a-z_]+)""#)
        var labels: Set<String> = []
        let files = FileManager.default.enumerator(atPath: packageRoot + "/Sources")
        while let path = files?.nextObject() as? String {
            guard path.hasSuffix(".swift") else { continue }
            let text = try String(contentsOfFile: "\(packageRoot)/Sources/\(path)", encoding: .utf8)
            for match in text.matches(of: pattern) {
                if let label = match.output[1].substring { labels.insert(String(label)) }
            }
        }
        #expect(labels.count > 15)
        #expect(labels.subtracting(MetricCatalogue.entries.keys).isEmpty)
    }

    @Test(
        "every metric of the alerts and of the dashboard is in the catalogue",
        arguments: ["prometheus/alerts.yml", "grafana/orchestra.json"])
    func shipped(file: String) throws {
        let text = try String(contentsOfFile: "\(packageRoot)/ops/\(file)", encoding: .utf8)
        let names = Set(text.matches(of: /orchestra_[a-z_]+/).map { String($0.output) })
        #expect(names.count > 15)
        for name in names {
            let histogram = name.replacing("_bucket", with: "")
            #expect(MetricCatalogue.entries[histogram] != nil, "\(name)")
        }
    }

    @Test("a counter's name ends in _total, and no other's does")
    func totals() {
        for (name, entry) in MetricCatalogue.entries {
            #expect(name.hasSuffix("_total") == (entry.kind == .counter), "\(name)")
        }
    }

    @Test("every name has the product's prefix and every help text is a sentence")
    func names() {
        for (name, entry) in MetricCatalogue.entries {
            #expect(name.hasPrefix("orchestra_"), "\(name)")
            #expect(entry.help.hasSuffix("."), "\(name)")
        }
    }

    @Test("the buckets rise")
    func buckets() { #expect(MetricCatalogue.buckets == MetricCatalogue.buckets.sorted()) }
}
