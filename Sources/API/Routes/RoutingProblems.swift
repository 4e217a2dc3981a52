internal import HTTPTypes
internal import Hummingbird

/// Turns the router's own errors into problems, before it answers them itself.
struct RoutingProblems: RouterMiddleware {
    typealias Context = APIContext

    func handle(
        _ request: Request, context: APIContext, next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPError {
            switch error.status {
            case .methodNotAllowed:
                throw Problem(
                    .methodNotAllowed, "this path does not support the method",
                    headers: error.headers[.allow].map { [(.allow, $0)] } ?? [])
            case .notFound: throw Problem(.notFound, "there is nothing at this path; /openapi.json lists the paths")
            default: throw Problem(.malformed, "the request cannot be read")
            }
        }
    }
}
