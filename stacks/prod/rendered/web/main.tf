# Rendered by infra-orch from stacks/prod/stack.py, unit "web". Edit that file, not this one:
# `infra-orch render prod` writes it anew.

module "web" {
  source = "../../../../modules/web_servers"

  name                = "${local.network.name}-web"
  vpc_id              = local.network.vpc_id
  subnet_ids          = local.network.subnet_ids
  ingress_cidr_blocks = [local.network.cidr_block]
  server_count        = 2
}
