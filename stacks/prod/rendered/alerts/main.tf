# Rendered by infra-orch from stacks/prod/stack.py, unit "alerts". Edit that file, not this one:
# `infra-orch render prod` writes it anew.

module "alerts" {
  source = "../../../../modules/alerts"

  name            = "${local.network.name}-alerts"
  email_addresses = ["ops@example.com"]
  server_groups = {
    web = local.web.group_name
  }
}
