"""The routes of upkeep, for operators."""

from entrepot.kernel.http.route import Who, post
from entrepot.kernel.upkeep import retention
from entrepot.kernel.upkeep.archive.refusals import RetentionRunning

ROUTES = (post("/monitoring/retention/run", retention.run_now, who=Who.OPERATOR, refuses=(RetentionRunning,)),)
