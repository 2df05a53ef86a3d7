"""The routes of monitoring, for operators."""

from entrepot.kernel.http.route import Who, get
from entrepot.kernel.monitor import operations

ROUTES = (
    get("/monitoring/database/pool", operations.pool, who=Who.OPERATOR),
    get("/monitoring/database/queries", operations.queries, who=Who.OPERATOR),
    get("/monitoring/database/indexes", operations.indexes, who=Who.OPERATOR),
    get("/monitoring/database/tables", operations.tables, who=Who.OPERATOR),
    get("/monitoring/database/replication", operations.replication, who=Who.OPERATOR),
    get("/monitoring/alerts", operations.alerts, who=Who.OPERATOR),
)
