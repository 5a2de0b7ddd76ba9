data "aws_ec2_instance_type" "this" {
  instance_type = var.instance_type
}

data "aws_ssm_parameter" "amazon_linux" {
  count = var.ami_id == null ? 1 : 0

  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${contains(data.aws_ec2_instance_type.this.supported_architectures, "arm64") ? "arm64" : "x86_64"}"
}

data "aws_ami" "this" {
  filter {
    name   = "image-id"
    values = [var.ami_id == null ? data.aws_ssm_parameter.amazon_linux[0].insecure_value : var.ami_id]
  }

  lifecycle {
    postcondition {
      condition     = contains(data.aws_ec2_instance_type.this.supported_architectures, self.architecture)
      error_message = "${self.id} is an image for ${self.architecture}, which ${var.instance_type} does not run (it runs ${join(", ", data.aws_ec2_instance_type.this.supported_architectures)})."
    }
  }
}

# Neither an Auto Scaling group nor the servers and volumes that it makes get the provider's default tags by themselves.
data "aws_default_tags" "this" {}

locals {
  health_path = "/health"
  tags        = merge(data.aws_default_tags.this.tags, { Name = var.name })

  page_server = {
    write_files = [
      { path = "/srv/web/index.html", content = var.page },
      { path = "/srv/web${local.health_path}", content = "ok\n" },
      { path = "/etc/systemd/system/web.service", content = templatefile("${path.module}/web.service.tftpl", { port = var.port }) },
    ]
    runcmd = [
      ["systemctl", "daemon-reload"],
      ["systemctl", "enable", "--now", "web.service"],
    ]
  }

  # JSON, because it is YAML too and needs no care about what the page holds.
  user_data = base64encode(var.user_data == null ? "#cloud-config\n${jsonencode(local.page_server)}\n" : var.user_data)

  # A value of its own, because Terraform prints all that a failed condition mentions. Base64 makes four of three bytes.
  user_data_fits = length(local.user_data) <= 4 * ceil(16384 / 3)

  # What a server is made of, in eight characters. They are part of the template's and the group's names, so that
  # servers of another make are another group, which is made before the old one goes.
  revision = substr(sha256(jsonencode([
    data.aws_ami.this.id, var.instance_type, var.root_volume_gib, local.user_data,
  ])), 0, 8)
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-"
  description = "Web servers ${var.name}: HTTP in, HTTPS out, each only where asked for"
  vpc_id      = var.vpc_id

  # Written as lists, not as blocks: an empty list removes a rule that somebody added by hand, no block leaves it.
  ingress = length(var.ingress_cidr_blocks) == 0 ? [] : [{
    description      = "HTTP"
    protocol         = "tcp"
    from_port        = var.port
    to_port          = var.port
    cidr_blocks      = var.ingress_cidr_blocks
    ipv6_cidr_blocks = []
    prefix_list_ids  = []
    security_groups  = []
    self             = false
  }]

  egress = length(var.egress_cidr_blocks) == 0 ? [] : [{
    description      = "HTTPS"
    protocol         = "tcp"
    from_port        = 443
    to_port          = 443
    cidr_blocks      = var.egress_cidr_blocks
    ipv6_cidr_blocks = []
    prefix_list_ids  = []
    security_groups  = []
    self             = false
  }]

  tags = {
    Name = var.name
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_launch_template" "this" {
  name                   = "${var.name}-${local.revision}"
  image_id               = data.aws_ami.this.id
  instance_type          = var.instance_type
  user_data              = local.user_data
  update_default_version = true

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required" # IMDSv2: a request that is tricked out of the server gets no answer
    http_put_response_hop_limit = 1
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = false
    delete_on_termination       = true
    security_groups             = [aws_security_group.this.id]
  }

  block_device_mappings {
    device_name = data.aws_ami.this.root_device_name

    ebs {
      encrypted             = true
      volume_type           = "gp3"
      volume_size           = var.root_volume_gib
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.tags
  }

  lifecycle {
    create_before_destroy = true

    # A template is not changed, only replaced by the next revision; other tags alone are no reason for new servers.
    # (The emulator also lists the template's own tags here, which would be a change without end.)
    ignore_changes = [tag_specifications]

    precondition {
      condition     = local.user_data_fits
      error_message = "The page or user data is too long: EC2 takes 16384 bytes of user data in all."
    }
  }
}

resource "aws_autoscaling_group" "this" {
  name                = "${var.name}-${local.revision}"
  min_size            = var.server_count
  max_size            = var.server_count
  desired_capacity    = var.server_count
  vpc_zone_identifier = var.subnet_ids
  health_check_type   = "EC2"

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  dynamic "tag" {
    for_each = local.tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}
